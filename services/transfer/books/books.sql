-- Books as files.

-- name: begin
-- One snapshot for a whole file.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: select_event
-- What the hash of an event is computed over.
SELECT originator_id, originator_version, recorded_at, previous_hash, topic, state
FROM {schema}.ledger_events WHERE notification_id = %(position)s
