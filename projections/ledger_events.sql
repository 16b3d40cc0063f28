-- The events as projections read them: in the ledger's order, from a position on.

-- name: last_position
-- The position of the last event.
SELECT last_id FROM {schema}.head

-- name: select_events
-- The events after a position, in order. Positions have no gaps and are committed in order, so none is missed.
SELECT notification_id, originator_id, originator_version, recorded_at, topic, state
FROM {schema}.ledger_events
WHERE notification_id > %(after)s AND notification_id <= %(until)s
ORDER BY notification_id LIMIT %(limit)s

-- name: select_events_of_topics
-- The events of some topics in a range of positions, in order.
SELECT notification_id, originator_id, originator_version, recorded_at, topic, state
FROM {schema}.ledger_events
WHERE notification_id > %(after)s AND notification_id <= %(until)s AND topic = ANY(%(topics)s)
ORDER BY notification_id
