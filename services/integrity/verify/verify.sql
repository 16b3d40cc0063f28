-- A check reads everything as bytes and numbers, so that no damaged value can stop it: instants come as PostgreSQL
-- sends them, eight bytes of microseconds since 2000.

-- name: begin_verify
-- One snapshot for all that is compared.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: export_snapshot
-- The snapshot of this transaction, for others to see the same.
SELECT pg_export_snapshot()

-- name: select_heads
-- The rows of head: there must be one.
SELECT last_id FROM {schema}.head

-- name: first_event
-- The first event, whose hash tells this ledger from others.
SELECT notification_id, uuid_send(originator_id), originator_version, timestamptz_send(recorded_at), previous_hash,
       topic, state
FROM {schema}.ledger_events ORDER BY notification_id LIMIT 1

-- name: scan_in_order
-- Every event in the order of the ledger.
SELECT notification_id, uuid_send(originator_id), originator_version, timestamptz_send(recorded_at), previous_hash,
       topic, state
FROM {schema}.ledger_events ORDER BY notification_id

-- name: scan_by_stream
-- Every event, stream by stream.
SELECT notification_id, uuid_send(originator_id), originator_version, timestamptz_send(recorded_at), previous_hash,
       topic, state
FROM {schema}.ledger_events
WHERE originator_id >= %(first)s AND originator_id <= %(last)s
ORDER BY originator_id, originator_version

-- name: scan_checkpoints
-- Every checkpoint.
SELECT number, from_position, to_position, timestamptz_send(made_at), ledger, root, previous_hash, public_key,
       next_public_key, signature, leaf_tags
FROM {schema}.checkpoints ORDER BY number

-- name: select_positions
-- How far each catch-up projection says that it is.
SELECT projection, position FROM {schema}.projection_positions

-- name: scan_balance
-- Every balance row.
SELECT uuid_send(subscription_id), version, position, plan_id, status, granted_credits, used_credits, reversed_credits,
       carried_credits, cycle_number, timestamptz_send(cycle_starts_at), timestamptz_send(cycle_ends_at),
       timestamptz_send(credits_renew_at), test_clock_id
FROM {schema}.balance
WHERE subscription_id >= %(first)s AND subscription_id <= %(last)s
ORDER BY subscription_id

-- name: scan_renewal
-- Every renewal row.
SELECT uuid_send(subscription_id), account_id, status, timestamptz_send(next_due_at), test_clock_id, state
FROM {schema}.renewal
WHERE subscription_id >= %(first)s AND subscription_id <= %(last)s
ORDER BY subscription_id

-- name: scan_charges
-- Every charges row, in the order of the charges' events.
SELECT uuid_send(subscription_id), version, generation_id, reversed_in_version
FROM {schema}.charges
WHERE subscription_id >= %(first)s AND subscription_id <= %(last)s
ORDER BY subscription_id, version

-- name: scan_usage
-- Every usage row.
SELECT uuid_send(subscription_id), date_send(day), model, asset_type, charges, credits, reversed_credits
FROM {schema}.usage
WHERE subscription_id >= %(first)s AND subscription_id <= %(last)s
ORDER BY subscription_id

-- name: scan_disputes
-- Every disputes row.
SELECT uuid_send(dispute_id), position, version, timestamptz_send(opened_at), uuid_send(subscription_id),
       generation_id, reason, status
FROM {schema}.disputes
WHERE dispute_id >= %(first)s AND dispute_id <= %(last)s
ORDER BY dispute_id

-- name: scan_snapshots
-- Every snapshot in today's form.
SELECT uuid_send(originator_id), originator_version, state
FROM {schema}.ledger_snapshots WHERE topic = %(topic)s AND originator_id >= %(first)s AND originator_id <= %(last)s ORDER BY originator_id, originator_version
