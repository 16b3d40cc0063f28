-- The renewal read model.

-- name: upsert_renewals
-- Rows of subscriptions whose plan, cycle, term or status changed, or that are new.
INSERT INTO {schema}.renewal (subscription_id, account_id, status, next_due_at, test_clock_id, state)
SELECT * FROM unnest(
    %(ids)s::uuid[], %(account_ids)s::text[], %(statuses)s::text[], %(dues)s::timestamptz[],
    %(test_clock_ids)s::text[], %(states)s::bytea[]
) AS r (id, account_id, status, next_due_at, test_clock_id, state)
ORDER BY id
ON CONFLICT (subscription_id) DO UPDATE SET
    status = EXCLUDED.status, next_due_at = EXCLUDED.next_due_at, state = EXCLUDED.state

-- name: select_subscription
-- The whole state of one subscription, in two rows, and what its test clock says where it has one.
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
