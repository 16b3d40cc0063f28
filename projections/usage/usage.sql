-- The usage read model.

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
