-- Reads whole subscriptions.

-- name: select_subscription
-- The state of one subscription, from its two rows, and the time of its test clock where it has one.
SELECT r.subscription_id, r.state, b.version, b.position, b.used_credits, b.reversed_credits, t.now
FROM {schema}.renewal AS r
JOIN {schema}.balance AS b USING (subscription_id)
LEFT JOIN {schema}.test_clocks AS t ON t.test_clock_id = r.test_clock_id
WHERE r.subscription_id = %(id)s

-- name: list_subscriptions
-- Subscriptions in id order, by what is recorded of them. What is due changes status and plan, so those where something is
-- due come too, whatever is recorded of them. A filter that is null matches everything.
SELECT r.subscription_id, r.state, b.version, b.position, b.used_credits, b.reversed_credits, t.now
FROM {schema}.renewal AS r
JOIN {schema}.balance AS b USING (subscription_id)
LEFT JOIN {schema}.test_clocks AS t ON t.test_clock_id = r.test_clock_id
WHERE r.subscription_id > %(after)s
    AND (%(account_id)s::text IS NULL OR r.account_id = %(account_id)s)
    AND (%(plan_id)s::text IS NULL OR b.plan_id = %(plan_id)s OR r.next_due_at <= coalesce(t.now, %(now)s))
    AND (%(status)s::text IS NULL OR r.status = %(status)s OR r.next_due_at <= coalesce(t.now, %(now)s))
ORDER BY r.subscription_id LIMIT %(limit)s
