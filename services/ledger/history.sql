-- History as it is stored: events with their place in the hash chain, and what was refused beside them.

-- name: list_stream_events
-- The events of one stream above a version, oldest first; of one topic, where it is given.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events
WHERE originator_id = %(id)s AND originator_version > %(after)s AND (%(topic)s::text IS NULL OR topic = %(topic)s)
ORDER BY originator_version LIMIT %(limit)s

-- name: list_ledger_events
-- The events of the whole ledger above a position, in its order; of one topic, where it is given.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events
WHERE notification_id > %(after)s AND (%(topic)s::text IS NULL OR topic = %(topic)s)
ORDER BY notification_id LIMIT %(limit)s

-- name: list_refusals
-- What was refused to a subscription after a place in the list, newest first.
SELECT generation_id, model, settings::text, code, required_credits, balance_credits, version, refused_at
FROM {schema}.refusals
WHERE subscription_id = %(id)s AND refused_at <= %(refused_at)s
    AND (refused_at < %(refused_at)s OR version < %(version)s
        OR version = %(version)s AND generation_id > %(generation_id)s)
ORDER BY refused_at DESC, version DESC, generation_id LIMIT %(limit)s
