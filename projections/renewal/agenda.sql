-- Subscriptions in the order of their next boundary. `now` is the real clock's; a subscription may have a test clock.

-- name: begin_agenda
-- One snapshot for what is due and for what is to come, so that a boundary that is just being recorded is in one of them.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: list_to_come
-- What is not due yet, after a place in the order and before an instant.
SELECT r.subscription_id, r.state, t.now
FROM {schema}.renewal AS r LEFT JOIN {schema}.test_clocks AS t ON t.test_clock_id = r.test_clock_id
WHERE (r.next_due_at, r.subscription_id) > (%(after_at)s, %(after_id)s)
  AND (%(before)s::timestamptz IS NULL OR r.next_due_at < %(before)s)
  AND r.next_due_at > coalesce(t.now, %(now)s)
  AND (%(within)s::uuid[] IS NULL OR r.subscription_id = ANY(%(within)s))
ORDER BY r.next_due_at, r.subscription_id LIMIT %(limit)s

-- name: list_overdue
-- What is due by the real clock and not recorded yet, a page at a time, in the order of ids.
SELECT subscription_id, state, NULL::timestamptz AS now
FROM {schema}.renewal
WHERE next_due_at <= %(now)s AND test_clock_id IS NULL AND subscription_id > %(after_id)s
  AND (%(within)s::uuid[] IS NULL OR subscription_id = ANY(%(within)s))
ORDER BY subscription_id LIMIT %(limit)s

-- name: list_overdue_on_clocks
-- What is due by a test clock and not recorded yet.
SELECT r.subscription_id, r.state, t.now
FROM {schema}.test_clocks AS t
JOIN {schema}.renewal AS r ON r.test_clock_id = t.test_clock_id AND r.next_due_at <= t.now
WHERE r.subscription_id > %(after_id)s
  AND (%(within)s::uuid[] IS NULL OR r.subscription_id = ANY(%(within)s))
ORDER BY r.subscription_id LIMIT %(limit)s
