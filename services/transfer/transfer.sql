-- Export of a ledger, and import into an empty schema or behind the last event of an earlier import.

-- name: begin_export
-- One snapshot for the whole export.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: last_position
-- The position of the last event.
SELECT last_id FROM {schema}.head

-- name: scan_test_clocks
-- Every test clock.
SELECT test_clock_id, now, created_at FROM {schema}.test_clocks ORDER BY test_clock_id

-- name: scan_events
-- The events after a position, in the order of the ledger.
SELECT notification_id, originator_id, originator_version, recorded_at, topic, previous_hash, state
FROM {schema}.ledger_events WHERE notification_id > %(after)s ORDER BY notification_id

-- name: scan_refusals
-- Every refusal, in the order of their ids: so they get ids of the same order where they are imported.
SELECT subscription_id, generation_id, version, model, settings::text, code, required_credits, balance_credits,
       refused_at, op, available_credits
FROM {schema}.refusals ORDER BY refusal_id NULLS FIRST, refused_at, subscription_id, generation_id, version

-- name: begin_import
-- The head row's lock keeps every writer out until the import ends.
SELECT last_id FROM {schema}.head FOR UPDATE

-- name: is_empty
-- Whether nothing of a ledger is in the schema. `{select_rows}` selects the rows of all projections.
SELECT NOT (EXISTS (SELECT FROM {schema}.ledger_events) OR EXISTS (SELECT FROM {schema}.log_trees)
    OR EXISTS (SELECT FROM {schema}.refusals) OR EXISTS (SELECT FROM {schema}.test_clocks)
    OR EXISTS (SELECT FROM {schema}.projection_positions WHERE position > 0) OR EXISTS ({select_rows}))

-- name: scan_stored
-- The events that are there already, in the order of the ledger.
SELECT notification_id, uuid_send(originator_id), originator_version, recorded_at, topic, state
FROM {schema}.ledger_events ORDER BY notification_id

-- name: copy_events
-- Events, exactly as they were exported.
COPY {schema}.ledger_events
    (notification_id, originator_version, recorded_at, originator_id, topic, previous_hash, state)
FROM STDIN (FORMAT binary)

-- name: move_head
-- The position of the last event that was imported.
UPDATE {schema}.head SET last_id = %(last)s

-- name: insert_test_clock
-- A test clock.
INSERT INTO {schema}.test_clocks (test_clock_id, now, created_at)
VALUES (%(test_clock_id)s, %(now)s, %(created_at)s)
ON CONFLICT (test_clock_id) DO UPDATE SET now = EXCLUDED.now

-- name: insert_refusal
-- A refusal.
INSERT INTO {schema}.refusals
    (subscription_id, generation_id, version, model, settings, code, required_credits, balance_credits, refused_at, op,
     available_credits)
VALUES (%(subscription_id)s, %(generation_id)s, %(version)s, %(model)s, %(settings)s::jsonb, %(code)s,
        %(required_credits)s, %(balance_credits)s, %(refused_at)s, %(op)s, %(available_credits)s)
ON CONFLICT (subscription_id, generation_id, version) DO NOTHING

-- name: analyze_events
-- Statistics for the planner, before the first query.
ANALYZE {schema}.ledger_events
