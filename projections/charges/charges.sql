-- Reads charges. The details of a charge are in its event, whose columns come in the recorder's order.

-- name: find_generations
-- The events of those of the requested generations that were charged or held before: of the charge, of the hold, and of
-- what became of it.
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at, e.previous_hash, e.notification_id,
       c.generation_id
FROM unnest(%(ids)b::uuid[], %(generation_ids)b::text[]) AS requested (id, generation_id)
CROSS JOIN LATERAL (
    SELECT * FROM {schema}.charges WHERE subscription_id = requested.id AND generation_id = requested.generation_id LIMIT 1
) AS c
CROSS JOIN LATERAL (
    SELECT * FROM {schema}.ledger_events WHERE originator_id = requested.id AND originator_version = ANY(
        ARRAY[c.version, c.captured_in_version, c.released_in_version, c.expired_in_version, c.reversed_in_version]
    ) LIMIT 3
) AS e

-- name: confirm_new
-- Fails where one of the generations was charged or held before.
SELECT {schema}.confirm(NOT EXISTS (
    SELECT FROM unnest(%(ids)b::uuid[], %(generation_ids)b::text[]) AS requested (id, generation_id)
    JOIN {schema}.charges AS c ON c.subscription_id = requested.id AND c.generation_id = requested.generation_id
))

-- name: find_charge
-- One charge with its event.
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at, e.previous_hash, e.notification_id,
       reversal.originator_id, reversal.originator_version, reversal.topic, reversal.state, reversal.recorded_at,
       reversal.previous_hash, reversal.notification_id
FROM {schema}.charges AS c
JOIN {schema}.ledger_events AS e ON e.originator_id = c.subscription_id
    AND e.originator_version = COALESCE(c.captured_in_version, c.version)
LEFT JOIN {schema}.ledger_events AS reversal ON reversal.originator_id = c.subscription_id
    AND reversal.originator_version = c.reversed_in_version
WHERE c.subscription_id = %(id)s AND c.generation_id = %(generation_id)s AND e.topic = 'GenerationCharged'

-- name: list_charges
-- The charges of one subscription below a version, or of all below a position, newest first. The page is cut before the
-- join, so that a long stream is not joined as a whole.
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at, e.previous_hash, e.notification_id,
       reversal.originator_id, reversal.originator_version, reversal.topic, reversal.state, reversal.recorded_at,
       reversal.previous_hash, reversal.notification_id
FROM (
    SELECT e.*, charged.data ->> 'generation_id' AS generation_id
    FROM {schema}.ledger_events AS e
    CROSS JOIN LATERAL (SELECT convert_from(e.state, 'UTF8')::json -> 'data' AS data) AS charged
    WHERE {scope}{place} < %(before)s AND e.topic = 'GenerationCharged'
        AND {filters}
    ORDER BY {place} DESC LIMIT %(limit)s
) AS e
JOIN {schema}.charges AS c ON c.subscription_id = e.originator_id AND c.generation_id = e.generation_id
LEFT JOIN {schema}.ledger_events AS reversal ON reversal.originator_id = c.subscription_id
    AND reversal.originator_version = c.reversed_in_version
ORDER BY {place} DESC

-- name: list_charges_of_generation
-- The charges of all subscriptions with a generation id, below a position, newest first.
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at, e.previous_hash, e.notification_id,
       reversal.originator_id, reversal.originator_version, reversal.topic, reversal.state, reversal.recorded_at,
       reversal.previous_hash, reversal.notification_id
FROM {schema}.charges AS c
JOIN {schema}.ledger_events AS e ON e.originator_id = c.subscription_id
    AND e.originator_version = COALESCE(c.captured_in_version, c.version)
CROSS JOIN LATERAL (SELECT convert_from(e.state, 'UTF8')::json -> 'data' AS data) AS charged
LEFT JOIN {schema}.ledger_events AS reversal ON reversal.originator_id = c.subscription_id
    AND reversal.originator_version = c.reversed_in_version
WHERE c.generation_id = %(generation_id)s AND e.topic = 'GenerationCharged' AND e.notification_id < %(before)s
    AND {filters}
ORDER BY e.notification_id DESC LIMIT %(limit)s

-- name: filters
-- The condition of every list: a filter that is null matches everything.
(%(within)s::uuid[] IS NULL OR e.originator_id = ANY(%(within)s))
    AND (%(since)s::timestamptz IS NULL OR e.recorded_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR e.recorded_at < %(until)s)
    AND (%(model)s::text IS NULL OR charged.data ->> 'model' = %(model)s)
    AND (%(asset_type)s::text IS NULL OR charged.data ->> 'asset_type' = %(asset_type)s)
    AND (%(cycle)s::bigint IS NULL OR (charged.data ->> 'cycle_number')::bigint = %(cycle)s)
    AND (%(member)s::text IS NULL OR charged.data ->> 'member' = %(member)s)
