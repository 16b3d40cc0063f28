-- History as it is stored: events with their place in the hash chain, and what was refused beside them.

-- name: list_stream_events
-- The events of one stream above a version, oldest first; of one topic, where it is given.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events
WHERE originator_id = %(id)s AND originator_version > %(after)s AND (%(topic)s::text IS NULL OR topic = %(topic)s)
ORDER BY originator_version LIMIT %(limit)s

-- name: list_ledger_events
-- The events of the whole ledger above a position, up to another, in its order; of one topic or one request, where that
-- is given. A request is found by the bytes of its metadata, which no text of an event can hold: its quotes are escaped.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events
WHERE notification_id > %(after)s AND notification_id <= %(until)s
    AND (%(topic)s::text IS NULL OR topic = %(topic)s)
    AND (%(request)s::bytea IS NULL OR position(%(request)s::bytea IN state) > 0)
ORDER BY notification_id LIMIT %(limit)s

-- name: list_subscription_events
-- The same of one subscription, those of its disputes included.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events
WHERE originator_id = ANY(
        ARRAY(SELECT %(id)s::uuid UNION ALL
            SELECT dispute_id FROM {schema}.disputed_charges WHERE subscription_id = %(id)s)
    )
    AND notification_id > %(after)s AND notification_id <= %(until)s
    AND (%(topic)s::text IS NULL OR topic = %(topic)s)
    AND (%(request)s::bytea IS NULL OR position(%(request)s::bytea IN state) > 0)
ORDER BY notification_id LIMIT %(limit)s

-- name: positions
-- The positions of events, by their places in their streams.
SELECT e.originator_id, e.originator_version, e.notification_id
FROM unnest(%(ids)s::uuid[], %(versions)s::bigint[]) AS place (id, version)
JOIN {schema}.ledger_events AS e ON e.originator_id = place.id AND e.originator_version = place.version

-- name: last_position
-- The position of the last event that is committed.
SELECT last_id FROM {schema}.head

-- name: subscriptions_of_disputes
-- The subscriptions that disputes are about.
SELECT dispute_id, subscription_id FROM {schema}.disputed_charges WHERE dispute_id = ANY(%(ids)s::uuid[])

-- name: list_refusals
-- What was refused to a subscription after a place in the list, newest first.
SELECT op, generation_id, model, settings::text, code, required_credits, balance_credits, available_credits, version,
       refused_at
FROM {schema}.refusals
WHERE subscription_id = %(id)s AND refused_at <= %(refused_at)s
    AND (refused_at < %(refused_at)s OR version < %(version)s
        OR version = %(version)s AND generation_id > %(generation_id)s)
ORDER BY refused_at DESC, version DESC, generation_id LIMIT %(limit)s

-- name: select_events
-- Events by their positions.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events WHERE notification_id = ANY(%(positions)s)
