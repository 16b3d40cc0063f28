-- What a replay reads beside the events.

-- name: select_refusals
-- The refusals of a subscription up to an instant, of versions that were recorded by then.
SELECT version, refused_at, op, generation_id, model, settings::text, code, required_credits, balance_credits
FROM {schema}.refusals
WHERE subscription_id = %(id)s AND refused_at <= %(until)s AND version <= %(version)s
