-- The statements of the write path: one transaction for a batch of commands, whatever their number. Arrays of hot
-- statements go in binary (%(name)b): written as text, an array of ids or of text costs six times the CPU.

-- name: begin_batch
-- Settings of this transaction only, so that a pooler may hand the connection to anyone afterwards: durability,
-- patience, and plans. Within a pipeline the server does not take us for idle, so from PostgreSQL 17 on the transaction
-- as a whole is bounded: a process that is paused in it has rows locked, at its commit even the head row. Everything a
-- batch does is a look-up by primary key, and must stay one on a table that has just begun to grow, whose statistics
-- would still have it scanned. So one plan does for any arguments, and planning anew for each would be a third of the
-- server's work for a small batch.
SELECT set_config('synchronous_commit', 'on', true),
       set_config('jit', 'off', true),
       set_config('enable_seqscan', 'off', true),
       set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true),
       set_config('plan_cache_mode', 'force_generic_plan', true),
       set_config('lock_timeout', '1s', true),
       set_config(
           CASE WHEN current_setting('server_version_num')::integer < 170000
           THEN 'idle_in_transaction_session_timeout' ELSE 'transaction_timeout' END,
           '20s', true
       ),
       set_config('statement_timeout', '10s', true)

-- name: lock_streams
-- Locks the batch's subscriptions in id order, so that two batches never deadlock, and learns their versions.
SELECT subscription_id, version FROM {schema}.balance
WHERE subscription_id = ANY(%(ids)b::uuid[]) ORDER BY subscription_id FOR UPDATE

-- name: confirm_versions
-- Locks the same, given in id order, and fails where a subscription is not at the version that it was assumed to be.
SELECT {schema}.confirm(array_agg(version) = %(versions)b::bigint[])
FROM (
    SELECT version FROM {schema}.balance
    WHERE subscription_id = ANY(%(ids)b::uuid[]) ORDER BY subscription_id FOR UPDATE
) AS locked

-- name: select_tails
-- The events of several streams above a version each, in order.
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at, e.previous_hash, e.notification_id
FROM unnest(%(ids)b::uuid[], %(versions)b::bigint[]) AS requested (id, version)
JOIN {schema}.ledger_events AS e ON e.originator_id = requested.id AND e.originator_version > requested.version
ORDER BY e.originator_id, e.originator_version

-- name: select_snapshots
-- The newest snapshot, in today's form, of each stream that has one.
SELECT requested.id, s.state
FROM unnest(%(ids)b::uuid[]) AS requested (id)
CROSS JOIN LATERAL (
    SELECT state FROM {schema}.ledger_snapshots
    WHERE originator_id = requested.id AND topic = %(topic)s ORDER BY originator_version DESC LIMIT 1
) AS s

-- name: select_snapshot
-- The newest snapshot, in today's form, of one stream at or below a version.
SELECT state FROM {schema}.ledger_snapshots
WHERE originator_id = %(id)s AND topic = %(topic)s AND originator_version <= %(until)s
ORDER BY originator_version DESC LIMIT 1

-- name: select_stream
-- The events of one stream above a version, up to another.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events
WHERE originator_id = %(id)s AND originator_version > %(after)s AND originator_version <= %(until)s
ORDER BY originator_version

-- name: insert_snapshots
-- Snapshots of streams, each once: another process may have made the same.
INSERT INTO {schema}.ledger_snapshots (originator_id, originator_version, topic, state)
SELECT * FROM unnest(%(ids)b::uuid[], %(versions)b::bigint[], %(topics)b::text[], %(states)b::bytea[])
ON CONFLICT DO NOTHING

-- name: lock_clocks
-- What the test clocks say; locked so that none advances between the reading and the commit.
SELECT test_clock_id, now FROM {schema}.test_clocks WHERE test_clock_id = ANY(%(ids)b::text[])
ORDER BY test_clock_id FOR SHARE

-- name: append_events
-- Moves the head row and appends. The head row's lock is held to the commit, so positions are gapless and in commit
-- order, and a reader that follows them never skips an event.
WITH head AS (
    UPDATE {schema}.head SET last_id = last_id + %(count)s RETURNING last_id - %(count)s AS base
), appended AS (
    INSERT INTO {schema}.ledger_events
        (notification_id, originator_version, recorded_at, originator_id, topic, previous_hash, state)
    SELECT head.base + e.ordinal, e.version, e.recorded_at, e.id, e.topic, e.previous_hash, e.state
    FROM head, unnest(
        %(ids)b::uuid[], %(versions)b::bigint[], %(instants)b::timestamptz[], %(topics)b::text[],
        %(previous_hashes)b::bytea[], %(states)b::bytea[]
    ) WITH ORDINALITY AS e (id, version, recorded_at, topic, previous_hash, state, ordinal)
)
SELECT base FROM head

-- name: find_events
-- Events by stream and version: whether commits whose answers were lost took place.
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at, e.previous_hash, e.notification_id
FROM unnest(%(ids)b::uuid[], %(versions)b::bigint[]) AS requested (id, version)
JOIN {schema}.ledger_events AS e ON e.originator_id = requested.id AND e.originator_version = requested.version

-- name: insert_refusals
-- One row per subscription, generation and version: a client that retries in a loop does not grow the log.
INSERT INTO {schema}.refusals
    (subscription_id, generation_id, version, op, model, settings, code, required_credits, balance_credits,
     available_credits, refused_at)
SELECT * FROM unnest(
    %(ids)s::uuid[], %(generation_ids)s::text[], %(versions)s::bigint[], %(ops)s::text[], %(models)s::text[],
    %(settings)s::jsonb[], %(codes)s::text[], %(required)s::bigint[], %(balances)s::bigint[], %(available)s::bigint[],
    %(instants)s::timestamptz[]
)
ON CONFLICT (subscription_id, generation_id, version) DO NOTHING
