-- Disputes as they are recorded.

-- name: select_dispute_events
-- The events of disputes, up to a version each, in order.
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at, e.previous_hash, e.notification_id
FROM unnest(%(ids)s::uuid[], %(versions)s::bigint[]) AS requested (id, version)
JOIN {schema}.ledger_events AS e ON e.originator_id = requested.id AND e.originator_version <= requested.version
ORDER BY e.originator_id, e.originator_version
