-- A check reads everything as bytes and numbers, so that no damaged value can stop it: instants come as PostgreSQL
-- sends them, eight bytes of microseconds since 2000.

-- name: begin_verify
-- One snapshot for all that is compared.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: select_tables
-- Which tables the schema has: a rebuild puts others in the place of those that are there.
SELECT c.relname, c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind = 'r' ORDER BY c.relname

-- name: export_snapshot
-- The snapshot of this transaction, for others to see the same.
SELECT pg_export_snapshot()

-- name: select_heads
-- The rows of head: there must be one.
SELECT last_id FROM {schema}.head

-- name: scan_in_order
-- Every event in the order of the ledger.
SELECT notification_id, uuid_send(originator_id), originator_version, timestamptz_send(recorded_at), previous_hash,
       topic, state
FROM {schema}.ledger_events ORDER BY notification_id

-- name: scan_by_stream
-- Every event, stream by stream.
SELECT notification_id, uuid_send(originator_id), originator_version, timestamptz_send(recorded_at), previous_hash,
       topic, state
FROM {schema}.ledger_events
WHERE originator_id >= %(first)s AND originator_id <= %(last)s
ORDER BY originator_id, originator_version

-- name: scan_checkpoints
-- Every signed note of a log, in the order in which they were signed.
SELECT number, origin, size, root, note FROM {schema}.log_checkpoints WHERE log = %(log)s ORDER BY number

-- name: event_at
-- The event of a position.
SELECT notification_id, uuid_send(originator_id), originator_version, timestamptz_send(recorded_at), previous_hash,
       topic, state
FROM {schema}.ledger_events WHERE notification_id = %(position)s LIMIT 1

-- name: select_positions
-- How far each catch-up projection says that it is.
SELECT projection, position FROM {schema}.projection_positions

-- name: scan_snapshots
-- Every snapshot in today's form.
SELECT uuid_send(originator_id), originator_version, state
FROM {schema}.ledger_snapshots WHERE topic = %(topic)s AND originator_id >= %(first)s AND originator_id <= %(last)s ORDER BY originator_id, originator_version
