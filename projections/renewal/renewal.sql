-- Reads whole subscriptions.

-- name: select_subscription
-- The state of one subscription, from its two rows, and the time of its test clock where it has one.
SELECT r.subscription_id, r.state, b.position, t.now,
       b.version, b.used_credits, b.reversed_credits, b.held_credits, b.holds_expire_at, b.holds
FROM {schema}.renewal AS r
JOIN {schema}.balance AS b USING (subscription_id)
LEFT JOIN {schema}.test_clocks AS t ON t.test_clock_id = r.test_clock_id
WHERE r.subscription_id = %(id)s

-- name: select_ids_of_accounts
-- The subscriptions of accounts, and others that are named.
SELECT subscription_id FROM {schema}.renewal WHERE account_id = ANY(%(account_ids)s)
UNION
SELECT subscription_id FROM {schema}.renewal WHERE subscription_id = ANY(%(ids)s)

-- name: list_subscriptions
-- Subscriptions in id order, by what is recorded of them. What is due changes status and plan, so those where something is
-- due come too, whatever is recorded of them. A filter that is null matches everything.
SELECT r.subscription_id, r.state, b.position, t.now,
       b.version, b.used_credits, b.reversed_credits, b.held_credits, b.holds_expire_at, b.holds
FROM {schema}.renewal AS r
JOIN {schema}.balance AS b USING (subscription_id)
LEFT JOIN {schema}.test_clocks AS t ON t.test_clock_id = r.test_clock_id
WHERE r.subscription_id > %(after)s AND b.subscription_id > %(after)s
    AND (%(account_id)s::text IS NULL OR r.account_id = %(account_id)s)
    AND (%(within)s::uuid[] IS NULL OR r.subscription_id = ANY(%(within)s))
    AND (%(plan_id)s::text IS NULL OR b.plan_id = %(plan_id)s OR r.next_due_at <= coalesce(t.now, %(now)s))
    AND (%(status)s::text IS NULL OR b.status = %(status)s OR r.next_due_at <= coalesce(t.now, %(now)s))
ORDER BY r.subscription_id LIMIT %(limit)s

-- name: list_by_plan_and_status
-- The same of all accounts, each part by an index of its own. `{filters}` are conditions on the balance row `b`.
SELECT r.subscription_id, r.state, b.position, t.now,
       b.version, b.used_credits, b.reversed_credits, b.held_credits, b.holds_expire_at, b.holds
FROM (
    (SELECT b.subscription_id FROM {schema}.balance AS b
     WHERE b.subscription_id > %(after)s AND {filters}
     ORDER BY b.subscription_id LIMIT %(limit)s)
    UNION
    (SELECT subscription_id FROM {schema}.renewal
     WHERE subscription_id > %(after)s AND next_due_at <= %(now)s AND test_clock_id IS NULL
     ORDER BY subscription_id LIMIT %(limit)s)
    UNION
    (SELECT r.subscription_id
     FROM {schema}.test_clocks AS t
     JOIN {schema}.renewal AS r ON r.test_clock_id = t.test_clock_id AND r.next_due_at <= t.now
     WHERE r.subscription_id > %(after)s
     ORDER BY r.subscription_id LIMIT %(limit)s)
    ORDER BY subscription_id LIMIT %(limit)s
) AS chosen
JOIN {schema}.renewal AS r USING (subscription_id)
JOIN {schema}.balance AS b USING (subscription_id)
LEFT JOIN {schema}.test_clocks AS t ON t.test_clock_id = r.test_clock_id
ORDER BY r.subscription_id

-- name: select_accounts
-- The accounts of some subscriptions.
SELECT subscription_id, account_id FROM {schema}.renewal WHERE subscription_id = ANY(%(ids)b::uuid[])
