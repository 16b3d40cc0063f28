-- Reads usage.

-- name: select_sums
-- Sums by the requested keys, in key order, after the key of the page before. A key that is not requested is ''.
-- A filter that is null matches everything.
SELECT period, model, asset_type, sum(charges)::bigint, sum(credits)::bigint, sum(reversed_credits)::bigint
FROM (
    SELECT CASE %(period)s WHEN 'day' THEN to_char(day, 'YYYY-MM-DD') WHEN 'month' THEN to_char(day, 'YYYY-MM')
                           ELSE '' END AS period,
           CASE WHEN %(by_model)s THEN model ELSE '' END AS model,
           CASE WHEN %(by_asset_type)s THEN asset_type ELSE '' END AS asset_type,
           charges, credits, reversed_credits
    FROM {schema}.usage
    WHERE (%(subscription_id)s::uuid IS NULL OR subscription_id = %(subscription_id)s)
        AND (%(since)s::date IS NULL OR day >= %(since)s)
        AND (%(until)s::date IS NULL OR day < %(until)s)
        AND (%(model)s::text IS NULL OR model = %(model)s)
        AND (%(asset_type)s::text IS NULL OR asset_type = %(asset_type)s)
) AS used
WHERE %(after_period)s::text IS NULL
    OR (period, model, asset_type) > (%(after_period)s, %(after_model)s, %(after_asset_type)s)
GROUP BY period, model, asset_type ORDER BY period, model, asset_type LIMIT %(limit)s
