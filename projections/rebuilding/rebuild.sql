-- A rebuild's own statements.

-- name: begin_alone
-- One rebuild of a schema at a time; false where another one runs.
SELECT pg_try_advisory_xact_lock(hashtext('rebuild ' || %(schema)s))

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
