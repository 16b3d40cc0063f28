-- Reads balances, and moves their counters.

-- name: move_balances
-- Sets the counters, version and position of every subscription of a batch, after its events were appended.
UPDATE {schema}.balance AS b
SET version = r.version, used_credits = r.used, reversed_credits = r.reversed,
    position = head.last_id - %(count)s + r.ordinal
FROM {schema}.head,
     unnest(%(ids)b::uuid[], %(versions)b::bigint[], %(used)b::bigint[], %(reversed)b::bigint[], %(ordinals)b::bigint[])
         AS r (id, version, used, reversed, ordinal)
WHERE b.subscription_id = r.id

-- name: move_holds
-- Sets the same, and the open holds, of every subscription of which holds were made or ended, and nothing else changed.
UPDATE {schema}.balance AS b
SET version = r.version, used_credits = r.used, reversed_credits = r.reversed,
    position = head.last_id - %(count)s + r.ordinal, held_credits = r.held, holds_expire_at = r.expire_at, holds = r.holds
FROM {schema}.head,
     unnest(%(ids)b::uuid[], %(versions)b::bigint[], %(used)b::bigint[], %(reversed)b::bigint[], %(ordinals)b::bigint[],
            %(held)b::bigint[], %(expire_at)s::timestamptz[], %(holds)b::text[])
         AS r (id, version, used, reversed, ordinal, held, expire_at, holds)
WHERE b.subscription_id = r.id

-- name: select_balances
-- Balance rows by id, each with the time of its test clock where it has one. `{columns}` are those of the declaration.
SELECT t.now, {columns}
FROM {schema}.balance AS b LEFT JOIN {schema}.test_clocks AS t ON t.test_clock_id = b.test_clock_id
WHERE b.subscription_id = ANY(%(ids)b::uuid[])

-- name: count_by_plan
-- The number of subscriptions on each plan, as recorded; those that have ended are on none.
SELECT plan_id, count(*) FROM {schema}.balance WHERE status <> 'ended' GROUP BY plan_id
