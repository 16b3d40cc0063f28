-- Trial balances. `since` and `until` are instants, or null for the beginning and the end.

-- name: select_totals
-- Sums over all subscriptions up to a position: whole blocks by the minute, the rows of blocks in the minutes in which the
-- interval begins and ends, where it does within a minute, and the rows behind the last block.
WITH covered AS (
    SELECT coalesce(max(last_position), 0) AS last FROM {schema}.movement_blocks WHERE last_position <= %(position)s
),
parts AS (
    SELECT minute AS at, granted_credits, used_credits, reversed_credits, lapsed_credits, held_credits, left_credits
    FROM {schema}.movement_blocks
    WHERE last_position <= %(position)s AND NOT minute = ANY(%(cut_minutes)s)
    UNION ALL
    SELECT m.recorded_at, m.granted_credits, m.used_credits, m.reversed_credits, m.lapsed_credits, m.held_credits,
           m.left_credits
    FROM {schema}.movement_blocks AS b
    JOIN {schema}.movements AS m ON m.position BETWEEN b.first_position AND b.last_position
        AND date_trunc('minute', m.recorded_at, 'UTC') = b.minute
    WHERE b.last_position <= %(position)s AND b.minute = ANY(%(cut_minutes)s)
    UNION ALL
    SELECT recorded_at, granted_credits, used_credits, reversed_credits, lapsed_credits, held_credits, left_credits
    FROM {schema}.movements WHERE position > (SELECT last FROM covered) AND position <= %(position)s
)
SELECT coalesce(sum(held_credits + left_credits) FILTER (WHERE at < %(since)s), 0)::bigint,
       coalesce(sum(granted_credits) FILTER (WHERE at >= %(since)s), 0)::bigint,
       coalesce(sum(used_credits) FILTER (WHERE at >= %(since)s), 0)::bigint,
       coalesce(sum(reversed_credits) FILTER (WHERE at >= %(since)s), 0)::bigint,
       coalesce(sum(lapsed_credits) FILTER (WHERE at >= %(since)s), 0)::bigint,
       coalesce(sum(held_credits), 0)::bigint,
       coalesce(sum(left_credits), 0)::bigint
FROM parts WHERE at < %(until)s

-- name: select_by_subscription
-- The same for each subscription that has anything, after one of them.
SELECT subscription_id,
       coalesce(sum(held_credits + left_credits) FILTER (WHERE recorded_at < %(since)s), 0)::bigint,
       coalesce(sum(granted_credits) FILTER (WHERE recorded_at >= %(since)s), 0)::bigint,
       coalesce(sum(used_credits) FILTER (WHERE recorded_at >= %(since)s), 0)::bigint,
       coalesce(sum(reversed_credits) FILTER (WHERE recorded_at >= %(since)s), 0)::bigint,
       coalesce(sum(lapsed_credits) FILTER (WHERE recorded_at >= %(since)s), 0)::bigint,
       sum(held_credits)::bigint, sum(left_credits)::bigint,
       min(position) FILTER (WHERE recorded_at >= %(since)s), max(position) FILTER (WHERE recorded_at >= %(since)s)
FROM {schema}.movements
WHERE subscription_id > %(after)s AND position <= %(position)s AND recorded_at < %(until)s
GROUP BY subscription_id
HAVING sum(held_credits + left_credits) <> 0 OR count(*) FILTER (WHERE recorded_at >= %(since)s) > 0
ORDER BY subscription_id LIMIT %(limit)s

-- name: select_rows
-- The rows after a position, up to another, in the order of the ledger.
SELECT position, subscription_id, recorded_at, granted_credits, used_credits, reversed_credits, lapsed_credits,
       held_credits, left_credits
FROM {schema}.movements WHERE position > %(after)s AND position <= %(until)s ORDER BY position

-- name: select_position
-- The position up to which there are movements, and that of the last event.
SELECT coalesce((SELECT position FROM {schema}.projection_positions WHERE projection = 'movements'), 0),
       (SELECT last_id FROM {schema}.head)
