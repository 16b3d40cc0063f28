-- Events in the order of the ledger, and the charges that some of them reverse.

-- name: last_position
-- The position of the last event.
SELECT last_id FROM {schema}.head

-- name: select_events
-- The events after a position, in order. Positions have no gaps and are committed in order, so none is missed.
SELECT notification_id, uuid_send(originator_id), originator_version, recorded_at, topic, state
FROM {schema}.ledger_events
WHERE notification_id > %(after)s AND notification_id <= %(until)s
ORDER BY notification_id LIMIT %(limit)s

-- name: select_charges
-- The events of charges, by subscription and generation. `{charges}` is the table in use, or that of a rebuild.
SELECT uuid_send(c.subscription_id), c.generation_id, e.topic, e.state
FROM unnest(%(ids)b::uuid[], %(generation_ids)b::text[]) AS requested (id, generation_id)
JOIN {schema}.{charges} AS c ON c.subscription_id = requested.id AND c.generation_id = requested.generation_id
JOIN {schema}.ledger_events AS e ON e.originator_id = c.subscription_id
    AND e.originator_version = COALESCE(c.captured_in_version, c.version)
