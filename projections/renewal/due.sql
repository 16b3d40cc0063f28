-- What time has made due and nobody recorded yet: cycles that have ended, and holds that have expired. A subscription on a
-- test clock is due by that clock, any other by the real one.

-- name: list_due
-- The subscriptions that have been due longest, and those that are due by their test clocks. One whose cycle has ended
-- and of which a hold has expired is there twice.
(SELECT subscription_id, next_due_at, %(now)s::timestamptz AS now, NULL AS test_clock_id
 FROM {schema}.renewal WHERE next_due_at <= %(now)s AND test_clock_id IS NULL
 ORDER BY next_due_at, subscription_id LIMIT %(limit)s)
UNION ALL
(SELECT subscription_id, holds_expire_at, %(now)s, NULL
 FROM {schema}.balance WHERE holds_expire_at <= %(now)s AND test_clock_id IS NULL
 ORDER BY holds_expire_at, subscription_id LIMIT %(limit)s)
UNION ALL
(SELECT r.subscription_id, r.next_due_at, t.now, t.test_clock_id
 FROM {schema}.test_clocks AS t
 JOIN {schema}.renewal AS r ON r.test_clock_id = t.test_clock_id AND r.next_due_at <= t.now
 LIMIT %(limit)s)
UNION ALL
(SELECT b.subscription_id, b.holds_expire_at, t.now, t.test_clock_id
 FROM {schema}.balance AS b
 JOIN {schema}.test_clocks AS t ON b.test_clock_id = t.test_clock_id AND b.holds_expire_at <= t.now
 LIMIT %(limit)s)

-- name: list_due_on_clock
-- The subscriptions that are due by one test clock, longest due first.
SELECT due.subscription_id, due.at, t.now, t.test_clock_id
FROM {schema}.test_clocks AS t
CROSS JOIN LATERAL (
    SELECT r.subscription_id, r.next_due_at AS at FROM {schema}.renewal AS r
    WHERE r.test_clock_id = t.test_clock_id AND r.next_due_at <= t.now
    UNION ALL
    SELECT b.subscription_id, b.holds_expire_at FROM {schema}.balance AS b
    WHERE b.test_clock_id = t.test_clock_id AND b.holds_expire_at <= t.now
) AS due
WHERE t.test_clock_id = %(test_clock_id)s
ORDER BY due.at, due.subscription_id LIMIT %(limit)s

-- name: select_still_due
-- Those of the given subscriptions for which the same is due as when they were listed.
SELECT listed.id
FROM unnest(%(ids)s::uuid[], %(dues)s::timestamptz[]) AS listed (id, due_at)
JOIN {schema}.renewal AS r ON r.subscription_id = listed.id
JOIN {schema}.balance AS b ON b.subscription_id = listed.id
WHERE listed.due_at IN (r.next_due_at, b.holds_expire_at)

-- name: next_due
-- The instant at which the next subscription that is not on a test clock will be due.
SELECT least(
    (SELECT min(next_due_at) FROM {schema}.renewal WHERE next_due_at IS NOT NULL AND test_clock_id IS NULL),
    (SELECT min(holds_expire_at) FROM {schema}.balance WHERE holds_expire_at IS NOT NULL AND test_clock_id IS NULL)
)

-- name: measure_backlog
-- How many subscriptions are due by the real clock, since when the longest is, and how many by test clocks.
SELECT count(DISTINCT subscription_id) FILTER (WHERE NOT on_clock), min(at) FILTER (WHERE NOT on_clock),
       count(DISTINCT subscription_id) FILTER (WHERE on_clock)
FROM (
    SELECT subscription_id, next_due_at AS at, false AS on_clock
    FROM {schema}.renewal WHERE next_due_at <= %(now)s AND test_clock_id IS NULL
    UNION ALL
    SELECT subscription_id, holds_expire_at, false
    FROM {schema}.balance WHERE holds_expire_at <= %(now)s AND test_clock_id IS NULL
    UNION ALL
    SELECT r.subscription_id, r.next_due_at, true
    FROM {schema}.test_clocks AS t
    JOIN {schema}.renewal AS r ON r.test_clock_id = t.test_clock_id AND r.next_due_at <= t.now
    UNION ALL
    SELECT b.subscription_id, b.holds_expire_at, true
    FROM {schema}.balance AS b
    JOIN {schema}.test_clocks AS t ON b.test_clock_id = t.test_clock_id AND b.holds_expire_at <= t.now
) AS due
