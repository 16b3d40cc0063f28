-- The statements of a rebuild.

-- name: try_lock
-- Allows one rebuild of a schema at a time; false where another one runs.
SELECT pg_try_advisory_xact_lock(hashtext('rebuild ' || %(schema)s))

-- name: begin_fill
-- Staged tables are not in use yet. The swap is durable, and makes everything before it durable too.
SELECT set_config('synchronous_commit', 'off', false), set_config('maintenance_work_mem', '256MB', false)

-- name: begin_swap
-- A short timeout for the swap's locks: while it waits, writers wait behind it.
SELECT set_config('lock_timeout', '200ms', true), set_config('synchronous_commit', 'on', true)

-- name: lock_head
-- Keeps every writer from appending until this transaction ends.
SELECT last_id FROM {schema}.head FOR UPDATE

-- name: count_streams
-- About how many streams there are, which is how many states a fold keeps.
SELECT count(*) FROM {schema}.ledger_events WHERE originator_version = 1

-- name: begin_compare
-- One snapshot for all that is compared.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: select_stale_streams
-- Streams with events in one table but not in the other.
SELECT DISTINCT originator_id FROM {schema}.ledger_events
WHERE notification_id > %(after)s AND notification_id <= %(until)s LIMIT %(limit)s

-- name: select_part
-- The events of a range of positions whose streams belong to a part. Ids come as bytes, which are cheaper to look up by.
SELECT notification_id, uuid_send(originator_id), originator_version, recorded_at, topic, state
FROM {schema}.ledger_events
WHERE notification_id > %(after)s AND notification_id <= %(until)s
    AND (%(parts)s = 1 OR (uuid_hash(originator_id)::bigint & 2147483647) %% %(parts)s = %(part)s)
ORDER BY notification_id

-- name: select_staged_states
-- The states of subscriptions, from their two staged rows.
SELECT uuid_send(b.subscription_id), r.state,
       b.version, b.used_credits, b.reversed_credits, b.held_credits, b.holds_expire_at, b.holds
FROM {schema}.balance_rebuilt AS b JOIN {schema}.renewal_rebuilt AS r USING (subscription_id)
WHERE b.subscription_id = ANY(%(ids)b::uuid[])
