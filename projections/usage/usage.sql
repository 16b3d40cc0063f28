-- The usage read model.

-- name: add_usage
-- Adds to the rows of a batch, in key order so that two writers never deadlock.
INSERT INTO {schema}.usage AS u (subscription_id, day, model, asset_type, charges, credits, reversed_credits)
SELECT * FROM unnest(
    %(ids)s::uuid[], %(days)s::date[], %(models)s::text[], %(asset_types)s::text[],
    %(charges)s::bigint[], %(credits)s::bigint[], %(reversed)s::bigint[]
) AS r (id, day, model, asset_type, charges, credits, reversed)
ORDER BY id, day, model, asset_type
ON CONFLICT (subscription_id, day, model, asset_type) DO UPDATE SET
    charges = u.charges + EXCLUDED.charges,
    credits = u.credits + EXCLUDED.credits,
    reversed_credits = u.reversed_credits + EXCLUDED.reversed_credits

-- name: find_originals
-- The charges that were given back, by subscription and generation.
SELECT e.originator_id, c.generation_id, e.topic, e.state
FROM unnest(%(ids)s::uuid[], %(generation_ids)s::text[]) AS wanted (id, generation_id)
JOIN {schema}.charges AS c ON c.subscription_id = wanted.id AND c.generation_id = wanted.generation_id
JOIN {schema}.ledger_events AS e ON e.originator_id = c.subscription_id AND e.originator_version = c.version

-- name: select_usage_of_subscription
-- What a subscription used from a day on and before another, by day, model and asset type.
SELECT day, model, asset_type, charges, credits, reversed_credits FROM {schema}.usage
WHERE subscription_id = %(id)s AND day >= %(since)s AND day < %(until)s
ORDER BY day, model, asset_type

-- name: select_usage_of_ledger
-- What all subscriptions together used from a day on and before another, by day, model and asset type.
SELECT day, model, asset_type, sum(charges)::bigint, sum(credits)::bigint, sum(reversed_credits)::bigint
FROM {schema}.usage WHERE day >= %(since)s AND day < %(until)s
GROUP BY day, model, asset_type ORDER BY day, model, asset_type
