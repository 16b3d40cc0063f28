-- The positions of the catch-up projections.

-- name: register
-- Adds the row of a projection that has none yet, at the beginning of the ledger.
INSERT INTO {schema}.projection_positions (projection) VALUES (%(projection)s) ON CONFLICT (projection) DO NOTHING

-- name: lock_position
-- The position of a projection. The lock makes a second projector, or a rebuild, wait for this transaction.
SELECT position, stopped_at_position FROM {schema}.projection_positions WHERE projection = %(projection)s FOR UPDATE

-- name: move_position
-- Moves the position in the transaction of the rows, and clears a stop.
UPDATE {schema}.projection_positions
SET position = %(position)s, stopped_at_position = NULL, stopped_because = NULL
WHERE projection = %(projection)s

-- name: record_stop
-- Records the event that a projection could not apply, and the error.
UPDATE {schema}.projection_positions
SET stopped_at_position = %(stopped_at)s, stopped_because = %(because)s
WHERE projection = %(projection)s

-- name: select_lags
-- How many events each projection is behind, and the age of the next one.
SELECT p.projection, p.position, h.last_id - p.position, p.stopped_at_position, p.stopped_because,
       CASE WHEN h.last_id > p.position THEN (
           SELECT greatest(extract(epoch FROM now() - e.recorded_at), 0)::float8
           FROM {schema}.ledger_events AS e WHERE e.notification_id = p.position + 1
       ) ELSE 0 END
FROM {schema}.projection_positions AS p CROSS JOIN {schema}.head AS h ORDER BY p.projection
