-- Test clocks: time that stands still until it is moved.

-- name: insert_clock
-- A new clock, which stands still. One that is there already stays as it is.
INSERT INTO {schema}.test_clocks (test_clock_id, now, created_at)
VALUES (%(test_clock_id)s, %(now)s, %(created_at)s)
ON CONFLICT DO NOTHING

-- name: find_clock
-- The instant at which a clock stands.
SELECT now FROM {schema}.test_clocks WHERE test_clock_id = %(test_clock_id)s

-- name: begin_move
-- A batch that is being committed in a clock's time is waited for, within reason.
SELECT set_config('lock_timeout', '10s', true)

-- name: move_clock
-- Sets a clock forward; no row where it is beyond that, or where there is none.
UPDATE {schema}.test_clocks SET now = %(to)s
WHERE test_clock_id = %(test_clock_id)s AND now <= %(to)s RETURNING now
