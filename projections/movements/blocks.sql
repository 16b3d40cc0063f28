-- Sums of blocks of movements.

-- name: fill
-- Adds the next block, once there are enough rows after the last. It is filled in the transaction that holds the position of
-- the projection, so that nobody else adds rows or blocks meanwhile.
-- The block's bounds are materialized: inlined, they would be looked for again at each of its rows.
WITH covered AS (SELECT coalesce(max(last_position), 0) AS last FROM {schema}.movement_blocks),
block AS MATERIALIZED (
    SELECT last + 1 AS first_position,
           (SELECT position FROM {schema}.movements WHERE position > last
            ORDER BY position OFFSET %(rows)s - 1 LIMIT 1) AS last_position
    FROM covered
)
INSERT INTO {schema}.movement_blocks
SELECT b.first_position, b.last_position, date_trunc('minute', m.recorded_at, 'UTC'), sum(m.granted_credits),
       sum(m.used_credits), sum(m.reversed_credits), sum(m.lapsed_credits), sum(m.held_credits), sum(m.left_credits)
FROM block AS b JOIN {schema}.movements AS m ON m.position BETWEEN b.first_position AND b.last_position
GROUP BY 1, 2, 3

-- name: clear
-- Forgets all blocks, whose rows are made anew.
DELETE FROM {schema}.movement_blocks

-- name: select_differences
-- The first blocks that are not the sums of their rows, do not end with one, or do not follow the block before.
WITH blocks AS (
    SELECT first_position, last_position, lag(last_position, 1, 0::bigint) OVER (ORDER BY first_position) AS before
    FROM (SELECT DISTINCT first_position, last_position FROM {schema}.movement_blocks) AS of_minutes
),
sums AS (
    SELECT b.first_position, b.last_position, date_trunc('minute', m.recorded_at, 'UTC') AS minute,
           sum(m.granted_credits) AS granted, sum(m.used_credits) AS used, sum(m.reversed_credits) AS reversed,
           sum(m.lapsed_credits) AS lapsed, sum(m.held_credits) AS held, sum(m.left_credits) AS remaining
    FROM blocks AS b JOIN {schema}.movements AS m ON m.position BETWEEN b.first_position AND b.last_position
    GROUP BY 1, 2, 3
)
SELECT first_position, last_position FROM blocks AS b
WHERE first_position <> before + 1
    OR NOT EXISTS (SELECT FROM {schema}.movements AS m WHERE m.position = b.last_position)
UNION
SELECT first_position, last_position
FROM sums AS s FULL JOIN {schema}.movement_blocks AS b USING (first_position, last_position, minute)
WHERE ROW(s.granted, s.used, s.reversed, s.lapsed, s.held, s.remaining) IS DISTINCT FROM
    ROW(b.granted_credits::numeric, b.used_credits::numeric, b.reversed_credits::numeric, b.lapsed_credits::numeric,
        b.held_credits::numeric, b.left_credits::numeric)
ORDER BY 1, 2 LIMIT 100
