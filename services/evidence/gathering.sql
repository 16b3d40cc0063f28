-- What evidence reads of the events.

-- name: select_opening
-- The first event of a dispute's stream.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events WHERE originator_id = %(id)s AND originator_version = 1

-- name: select_streams
-- All events of some streams, as of one moment, each stream in its order.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events WHERE originator_id = ANY(%(ids)s)
ORDER BY originator_id, originator_version
