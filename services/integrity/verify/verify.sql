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
SELECT number, origin, size, root, handover, note FROM {schema}.log_checkpoints WHERE log = %(log)s ORDER BY number

-- name: scan_cosignatures
-- Every cosignature of a log, with the note below which it is; nulls where there is no such note.
SELECT s.number, s.line, c.note, c.size
FROM {schema}.log_cosignatures AS s LEFT JOIN {schema}.log_checkpoints AS c USING (log, number)
WHERE s.log = %(log)s ORDER BY s.number, s.witness

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

-- name: events_of_streams
-- The events at versions of streams, in the order in which they are asked for; nulls for one that is not there.
SELECT event.topic, event.state
FROM unnest(%(streams)s::uuid[], %(versions)s::bigint[]) WITH ORDINALITY AS place (stream, version, number)
LEFT JOIN {schema}.ledger_events AS event
    ON event.originator_id = place.stream AND event.originator_version = place.version
ORDER BY place.number

-- name: reversed_in
-- The version in which each charge was given back, in the order in which they are asked for; null where it was not.
SELECT max(charge.reversed_in_version)
FROM unnest(%(streams)s::uuid[], %(generations)s::text[]) WITH ORDINALITY AS place (stream, generation, number)
LEFT JOIN {schema}.charges AS charge
    ON charge.subscription_id = place.stream AND charge.generation_id = place.generation
GROUP BY place.number
ORDER BY place.number

-- name: repeated_generations
-- Generations that have several rows in charges.
SELECT uuid_send(subscription_id), generation_id, count(*)
FROM {schema}.charges
WHERE subscription_id >= %(first)s AND subscription_id <= %(last)s
GROUP BY subscription_id, generation_id HAVING count(*) > 1
LIMIT 100
