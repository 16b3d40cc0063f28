-- Reads holds. What a hold is and how it ended is in events, whose columns come in the recorder's order.

-- name: list_holds
-- The holds of one subscription below a version, newest first, each with the event that ended it where it has ended.
-- A filter that is null matches everything. One that is due to expire counts as expired, recorded or not.
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at, e.previous_hash, e.notification_id,
       ended.originator_id, ended.originator_version, ended.topic, ended.state, ended.recorded_at, ended.previous_hash,
       ended.notification_id,
       reversal.originator_id, reversal.originator_version, reversal.topic, reversal.state, reversal.recorded_at,
       reversal.previous_hash, reversal.notification_id
FROM {schema}.ledger_events AS e
CROSS JOIN LATERAL (SELECT convert_from(e.state, 'UTF8')::json -> 'data' AS data) AS held
JOIN {schema}.charges AS c ON c.subscription_id = e.originator_id AND c.generation_id = held.data ->> 'generation_id'
CROSS JOIN LATERAL (SELECT CASE
    WHEN c.captured_in_version IS NOT NULL THEN 'captured'
    WHEN c.released_in_version IS NOT NULL THEN 'released'
    WHEN c.expired_in_version IS NOT NULL OR (held.data ->> 'expires_at')::timestamptz <= %(now)s THEN 'expired'
    ELSE 'held'
END AS status) AS now
LEFT JOIN {schema}.ledger_events AS ended ON ended.originator_id = e.originator_id
    AND ended.originator_version = COALESCE(c.captured_in_version, c.released_in_version, c.expired_in_version)
LEFT JOIN {schema}.ledger_events AS reversal ON reversal.originator_id = c.subscription_id
    AND reversal.originator_version = c.reversed_in_version
WHERE e.originator_id = %(id)s AND e.originator_version < %(before)s AND e.topic = 'CreditsHeld'
    AND (%(status)s::text IS NULL OR now.status = %(status)s)
    AND (%(member)s::text IS NULL OR held.data ->> 'member' = %(member)s)
ORDER BY e.originator_version DESC LIMIT %(limit)s

-- name: find_hold
-- One hold with the event that ended it where it has ended.
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at, e.previous_hash, e.notification_id,
       ended.originator_id, ended.originator_version, ended.topic, ended.state, ended.recorded_at, ended.previous_hash,
       ended.notification_id,
       reversal.originator_id, reversal.originator_version, reversal.topic, reversal.state, reversal.recorded_at,
       reversal.previous_hash, reversal.notification_id
FROM {schema}.charges AS c
JOIN {schema}.ledger_events AS e ON e.originator_id = c.subscription_id AND e.originator_version = c.version
LEFT JOIN {schema}.ledger_events AS ended ON ended.originator_id = e.originator_id
    AND ended.originator_version = COALESCE(c.captured_in_version, c.released_in_version, c.expired_in_version)
LEFT JOIN {schema}.ledger_events AS reversal ON reversal.originator_id = c.subscription_id
    AND reversal.originator_version = c.reversed_in_version
WHERE c.subscription_id = %(id)s AND c.generation_id = %(generation_id)s AND e.topic = 'CreditsHeld'
