-- A rebuild's own statements.

-- name: begin_alone
-- One rebuild of a schema at a time; false where another one runs.
SELECT pg_try_advisory_xact_lock(hashtext('rebuild ' || %(schema)s))

-- name: begin_fill
-- Nothing that is filled here is in use yet; the swap, which is durable, makes all that came before it durable too.
SELECT set_config('synchronous_commit', 'off', false), set_config('maintenance_work_mem', '256MB', false)

-- name: begin_swap
-- Patience for the swap's locks: while it waits, writers wait behind it.
SELECT set_config('lock_timeout', '200ms', true), set_config('synchronous_commit', 'on', true)

-- name: lock_head
-- Keeps every writer from appending until this transaction ends.
SELECT last_id FROM {schema}.head FOR UPDATE

-- name: count_streams
-- About how many streams there are, which is how many states a fold keeps.
SELECT count(*) FROM {schema}.ledger_events WHERE originator_version = 1

-- name: begin_compare
-- Everything that is compared is seen at one instant.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: select_stale_streams
-- Streams with events in one table but not in the other.
SELECT DISTINCT originator_id FROM {schema}.ledger_events
WHERE notification_id > %(after)s AND notification_id <= %(until)s LIMIT %(limit)s

-- name: select_part
-- The events of a range of positions whose streams belong to a part; ids as bytes, which are cheaper to look up by.
SELECT notification_id, uuid_send(originator_id), originator_version, recorded_at, topic, state
FROM {schema}.ledger_events
WHERE notification_id > %(after)s AND notification_id <= %(until)s
    AND (%(parts)s = 1 OR (uuid_hash(originator_id)::bigint & 2147483647) %% %(parts)s = %(part)s)
ORDER BY notification_id

-- name: select_staged_states
-- The states of subscriptions as their two staged rows have them.
SELECT uuid_send(b.subscription_id), r.state, b.version, b.used_credits, b.reversed_credits
FROM {schema}.balance_rebuilt AS b JOIN {schema}.renewal_rebuilt AS r USING (subscription_id)
WHERE b.subscription_id = ANY(%(ids)b::uuid[])
