-- The balance read model.

-- name: upsert_balances
-- Rows whose plan, cycle or status changed, or that are new; `move_balances` gives them their position.
INSERT INTO {schema}.balance
    (subscription_id, version, position, used_credits, reversed_credits, granted_credits, carried_credits,
     cycle_number, cycle_starts_at, cycle_ends_at, credits_renew_at, status, plan_id, test_clock_id)
SELECT id, version, 0, used, reversed, granted, carried,
       cycle_number, cycle_starts_at, cycle_ends_at, credits_renew_at, status, plan_id, test_clock_id
FROM unnest(
    %(ids)s::uuid[], %(versions)s::bigint[], %(used)s::bigint[], %(reversed)s::bigint[], %(granted)s::bigint[],
    %(carried)s::bigint[], %(cycle_numbers)s::bigint[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
    %(renews)s::timestamptz[], %(statuses)s::text[], %(plan_ids)s::text[], %(test_clock_ids)s::text[]
) AS r (id, version, used, reversed, granted, carried, cycle_number, cycle_starts_at, cycle_ends_at,
        credits_renew_at, status, plan_id, test_clock_id)
ORDER BY id
ON CONFLICT (subscription_id) DO UPDATE SET
    version = EXCLUDED.version, used_credits = EXCLUDED.used_credits, reversed_credits = EXCLUDED.reversed_credits,
    granted_credits = EXCLUDED.granted_credits, carried_credits = EXCLUDED.carried_credits,
    cycle_number = EXCLUDED.cycle_number, cycle_starts_at = EXCLUDED.cycle_starts_at,
    cycle_ends_at = EXCLUDED.cycle_ends_at, credits_renew_at = EXCLUDED.credits_renew_at,
    status = EXCLUDED.status, plan_id = EXCLUDED.plan_id

-- name: move_balances
-- The counters, version and position of every subscription of a batch, after its events were appended.
UPDATE {schema}.balance AS b
SET version = r.version, used_credits = r.used, reversed_credits = r.reversed,
    position = head.last_id - %(count)s + r.ordinal
FROM {schema}.head,
     unnest(%(ids)b::uuid[], %(versions)b::bigint[], %(used)b::bigint[], %(reversed)b::bigint[], %(ordinals)b::bigint[])
         AS r (id, version, used, reversed, ordinal)
WHERE b.subscription_id = r.id

-- name: select_balances
-- Balance rows, and for each what its test clock says where it has one.
SELECT b.subscription_id, b.position, t.now, b.version, b.plan_id, b.status, b.granted_credits, b.used_credits,
       b.reversed_credits, b.carried_credits, b.cycle_number, b.cycle_starts_at, b.cycle_ends_at, b.credits_renew_at,
       b.test_clock_id
FROM {schema}.balance AS b LEFT JOIN {schema}.test_clocks AS t ON t.test_clock_id = b.test_clock_id
WHERE b.subscription_id = ANY(%(ids)b::uuid[])
