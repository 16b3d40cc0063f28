-- Boundaries that have passed and are not recorded yet. A subscription on a test clock is due by that clock, any other by
-- the real one.

-- name: list_due
-- The subscriptions that have been due longest, and those that are due by their test clocks.
(SELECT subscription_id, next_due_at, %(now)s::timestamptz AS now, NULL AS test_clock_id
 FROM {schema}.renewal WHERE next_due_at <= %(now)s AND test_clock_id IS NULL
 ORDER BY next_due_at, subscription_id LIMIT %(limit)s)
UNION ALL
(SELECT r.subscription_id, r.next_due_at, t.now, t.test_clock_id
 FROM {schema}.test_clocks AS t
 JOIN {schema}.renewal AS r ON r.test_clock_id = t.test_clock_id AND r.next_due_at <= t.now
 LIMIT %(limit)s)

-- name: list_due_on_clock
-- The subscriptions that are due by one test clock, longest due first.
SELECT r.subscription_id, r.next_due_at, t.now, t.test_clock_id
FROM {schema}.test_clocks AS t
JOIN {schema}.renewal AS r ON r.test_clock_id = t.test_clock_id AND r.next_due_at <= t.now
WHERE t.test_clock_id = %(test_clock_id)s
ORDER BY r.next_due_at, r.subscription_id LIMIT %(limit)s

-- name: select_still_due
-- Those of the given subscriptions whose next boundary is the same as when they were listed.
SELECT r.subscription_id
FROM unnest(%(ids)s::uuid[], %(dues)s::timestamptz[]) AS listed (id, next_due_at)
JOIN {schema}.renewal AS r ON r.subscription_id = listed.id AND r.next_due_at = listed.next_due_at

-- name: next_due
-- The instant at which the next subscription that is not on a test clock will be due.
SELECT min(next_due_at) FROM {schema}.renewal WHERE next_due_at IS NOT NULL AND test_clock_id IS NULL

-- name: measure_backlog
-- How many subscriptions are due by the real clock, since when the longest of them is, and how many by test clocks.
SELECT count(*), min(next_due_at),
       (SELECT count(*) FROM {schema}.test_clocks AS t
        JOIN {schema}.renewal AS r ON r.test_clock_id = t.test_clock_id AND r.next_due_at <= t.now)
FROM {schema}.renewal WHERE next_due_at <= %(now)s AND test_clock_id IS NULL
