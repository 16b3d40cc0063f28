-- Checkpoints. They are only ever added.

-- name: lock_checkpoints
-- Lets one process at a time make checkpoints; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(hashtext('checkpoints ' || %(schema)s))

-- name: latest_checkpoint
-- The newest checkpoint.
SELECT number, from_position, to_position, made_at, ledger, root, previous_hash, public_key, next_public_key, signature
FROM {schema}.checkpoints ORDER BY number DESC LIMIT 1

-- name: covering_checkpoint
-- The checkpoint whose tree has the event of a position.
SELECT number, from_position, to_position, made_at, ledger, root, previous_hash, public_key, next_public_key, signature
FROM {schema}.checkpoints WHERE to_position >= %(position)s AND from_position <= %(position)s
ORDER BY to_position, number LIMIT 1

-- name: list_checkpoints
-- Checkpoints above a number, oldest first.
SELECT number, from_position, to_position, made_at, ledger, root, previous_hash, public_key, next_public_key, signature
FROM {schema}.checkpoints WHERE number > %(after)s ORDER BY number LIMIT %(limit)s

-- name: last_position
-- The position of the last event that is committed.
SELECT last_id FROM {schema}.head

-- name: select_leaves
-- The columns that the hashes of a range of events are computed over, in the order of the ledger.
SELECT originator_id, originator_version, recorded_at, previous_hash, topic, state, notification_id
FROM {schema}.ledger_events WHERE notification_id >= %(from)s AND notification_id <= %(to)s ORDER BY notification_id

-- name: insert_checkpoint
-- A new checkpoint.
INSERT INTO {schema}.checkpoints
    (number, from_position, to_position, made_at, ledger, root, previous_hash, public_key, next_public_key, signature,
     leaf_tags)
VALUES (%(number)s, %(from_position)s, %(to_position)s, %(made_at)s, %(ledger)s, %(root)s, %(previous_hash)s,
        %(public_key)s, %(next_public_key)s, %(signature)s, %(leaf_tags)s)
