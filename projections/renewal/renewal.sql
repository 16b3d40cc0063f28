-- Reads whole subscriptions.

-- name: select_subscription
-- The state of one subscription, from its two rows, and the time of its test clock where it has one.
SELECT r.subscription_id, r.state, b.version, b.position, b.used_credits, b.reversed_credits, t.now
FROM {schema}.renewal AS r
JOIN {schema}.balance AS b USING (subscription_id)
LEFT JOIN {schema}.test_clocks AS t ON t.test_clock_id = r.test_clock_id
WHERE r.subscription_id = %(id)s

-- name: list_subscriptions
-- The subscriptions of an account, in id order.
SELECT r.subscription_id, r.state, b.version, b.position, b.used_credits, b.reversed_credits, t.now
FROM {schema}.renewal AS r
JOIN {schema}.balance AS b USING (subscription_id)
LEFT JOIN {schema}.test_clocks AS t ON t.test_clock_id = r.test_clock_id
WHERE r.account_id = %(account_id)s AND r.subscription_id > %(after)s
ORDER BY r.subscription_id LIMIT %(limit)s
