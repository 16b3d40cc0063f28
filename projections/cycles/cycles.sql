-- Reads cycles. `{cycles}` is the table in use, or that of a rebuild.

-- name: select_plans
-- The plan of each subscription at a version, in the order of the request. The newest rows may be missing in the table: what
-- comes after its position is read from the events, up to the newest position that matters.
WITH recent AS MATERIALIZED (
    SELECT originator_id, originator_version, convert_from(state, 'UTF8')::json -> 'data' -> 'plan' ->> 'plan_id' AS plan_id
    FROM {schema}.ledger_events
    WHERE notification_id > COALESCE(
            %(position)s::bigint, (SELECT position FROM {schema}.projection_positions WHERE projection = 'cycles'), 0
        ) AND notification_id <= %(until)s
        AND topic IN ('SubscriptionStarted', 'PlanUpgraded', 'TermRenewed') AND originator_id = ANY(%(ids)b::uuid[])
)
SELECT COALESCE(newer.plan_id, known.plan_id)
FROM unnest(%(ids)b::uuid[], %(versions)b::bigint[]) WITH ORDINALITY AS requested (id, version, ordinal)
LEFT JOIN LATERAL (
    SELECT plan_id FROM recent
    WHERE originator_id = requested.id AND originator_version <= requested.version
    ORDER BY originator_version DESC LIMIT 1
) AS newer ON true
LEFT JOIN LATERAL (
    SELECT plan_id FROM {schema}.{cycles}
    WHERE subscription_id = requested.id AND first_version <= requested.version AND plan_id IS NOT NULL
    ORDER BY first_version DESC LIMIT 1
) AS known ON true
ORDER BY requested.ordinal
