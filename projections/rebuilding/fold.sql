-- A rebuild's way through the ledger: all of it, in order, one part of the streams at a time.

-- name: begin_fill
-- Nothing that is filled here is in use yet; the swap, which is durable, makes all that came before it durable too.
SELECT set_config('synchronous_commit', 'off', false), set_config('maintenance_work_mem', '256MB', false)

-- name: select_part
-- The events of a range of positions whose streams belong to a part; ids as bytes, which are cheaper to look up by.
SELECT uuid_send(originator_id), originator_version, recorded_at, topic, state, notification_id
FROM {schema}.ledger_events
WHERE notification_id > %(after)s AND notification_id <= %(until)s
    AND (%(parts)s = 1 OR (uuid_hash(originator_id)::bigint & 2147483647) %% %(parts)s = %(part)s)
ORDER BY notification_id

-- name: copy_balances
-- Rows of balance.
COPY {schema}.balance (subscription_id, position, version, plan_id, status, granted_credits, used_credits,
    reversed_credits, carried_credits, cycle_number, cycle_starts_at, cycle_ends_at, credits_renew_at, test_clock_id)
FROM STDIN (FORMAT binary)

-- name: copy_renewals
-- Rows of renewal.
COPY {schema}.renewal (subscription_id, account_id, status, next_due_at, test_clock_id, state)
FROM STDIN (FORMAT binary)

-- name: copy_charges
-- Rows of charges.
COPY {schema}.charges (subscription_id, generation_id, version) FROM STDIN (FORMAT binary)

-- name: make_usage_parts
-- Where parts of usage are put until they are added up.
CREATE UNLOGGED TABLE {schema}.usage_parts (LIKE {schema}.usage)

-- name: drop_usage_parts
-- What a rebuild that was cut short left.
DROP TABLE IF EXISTS {schema}.usage_parts

-- name: copy_usage
-- Parts of usage.
COPY {schema}.usage_parts (subscription_id, day, model, asset_type, charges, credits, reversed_credits)
FROM STDIN (FORMAT binary)

-- name: add_up_usage
-- One row of usage from all its parts.
INSERT INTO {schema}.usage (subscription_id, day, model, asset_type, charges, credits, reversed_credits)
SELECT subscription_id, day, model, asset_type, sum(charges), sum(credits), sum(reversed_credits)
FROM {schema}.usage_parts GROUP BY subscription_id, day, model, asset_type

-- name: select_states
-- The states of subscriptions as their two rows have them.
SELECT b.subscription_id, r.state, b.version, b.used_credits, b.reversed_credits
FROM {schema}.balance AS b JOIN {schema}.renewal AS r USING (subscription_id)
WHERE b.subscription_id = ANY(%(ids)s)

-- name: delete_balances
-- Rows that are about to be written anew.
DELETE FROM {schema}.balance WHERE subscription_id = ANY(%(ids)s)

-- name: delete_renewals
-- Rows that are about to be written anew.
DELETE FROM {schema}.renewal WHERE subscription_id = ANY(%(ids)s)
