-- A stream as it was at an instant.

-- name: newest_version_at
-- The newest version that was recorded at or before an instant; no row, or null, where the stream had not begun. Within a
-- stream the instants never go down as versions go up, so the version is found by halving, one look-up by primary key a
-- step: 17 steps for 100,000 events.
WITH RECURSIVE halving (low, high) AS (
    SELECT 0::bigint, max(originator_version) FROM {schema}.ledger_events WHERE originator_id = %(id)s
    UNION ALL
    SELECT CASE WHEN is_recorded THEN middle ELSE low END, CASE WHEN is_recorded THEN high ELSE middle - 1 END
    FROM halving
    CROSS JOIN LATERAL (SELECT (low + high + 1) / 2 AS middle) AS half
    CROSS JOIN LATERAL (
        SELECT (
            SELECT recorded_at <= %(at)s FROM {schema}.ledger_events
            WHERE originator_id = %(id)s AND originator_version = middle
        ) AS is_recorded
    ) AS probe
    WHERE low < high
)
SELECT nullif(high, 0) FROM halving WHERE low = high
