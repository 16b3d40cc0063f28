-- Reads usage.

-- name: select_sums
-- Sums by the requested keys, in key order, after the key of the page before. A key that is not requested is '' or 0.
-- A filter that is null matches everything.
SELECT period, cycle, model, asset_type, member, account_id, plan_id,
       sum(charges)::bigint, sum(credits)::bigint, sum(reversed_credits)::bigint
FROM (
    SELECT CASE %(period)s WHEN 'day' THEN to_char(day, 'YYYY-MM-DD') WHEN 'month' THEN to_char(day, 'YYYY-MM')
                           ELSE '' END AS period,
           CASE WHEN %(by_cycle)s THEN cycle_number ELSE 0 END AS cycle,
           CASE WHEN %(by_model)s THEN model ELSE '' END AS model,
           CASE WHEN %(by_asset_type)s THEN asset_type ELSE '' END AS asset_type,
           CASE WHEN %(by_member)s THEN member ELSE '' END AS member,
           CASE WHEN %(by_account_id)s THEN {account} ELSE '' END AS account_id,
           CASE WHEN %(by_plan_id)s THEN plan_id ELSE '' END AS plan_id,
           charges, credits, reversed_credits
    FROM {schema}.usage {accounts}
    WHERE (%(subscription_id)s::uuid IS NULL OR subscription_id = %(subscription_id)s)
        AND (%(within)s::uuid[] IS NULL OR subscription_id = ANY(%(within)s))
        AND (%(since)s::date IS NULL OR day >= %(since)s)
        AND (%(until)s::date IS NULL OR day < %(until)s)
        AND (%(day)s::date IS NULL OR day = %(day)s)
        AND (%(month)s::text IS NULL OR to_char(day, 'YYYY-MM') = %(month)s)
        AND (%(cycle)s::bigint IS NULL OR cycle_number = %(cycle)s)
        AND (%(model)s::text IS NULL OR model = %(model)s)
        AND (%(asset_type)s::text IS NULL OR asset_type = %(asset_type)s)
        AND (%(member)s::text IS NULL OR member = %(member)s)
        AND (%(account_id)s::text IS NULL OR {account} = %(account_id)s)
        AND (%(plan_id)s::text IS NULL OR plan_id = %(plan_id)s)
) AS used
WHERE %(is_first)s OR (period, cycle, model, asset_type, member, account_id, plan_id)
    > (%(after_period)s, %(after_cycle)s, %(after_model)s, %(after_asset_type)s, %(after_member)s, %(after_account_id)s,
       %(after_plan_id)s)
GROUP BY period, cycle, model, asset_type, member, account_id, plan_id
ORDER BY period, cycle, model, asset_type, member, account_id, plan_id LIMIT %(limit)s

-- name: accounts
-- Joins the account of each subscription, where it is asked for.
JOIN {schema}.renewal USING (subscription_id)
