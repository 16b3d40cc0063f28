-- The log: trees, tiles, signed notes, cosignatures, keys.

-- name: select_tree
-- The origin of a log and its number of leaves.
SELECT origin, size FROM {schema}.log_trees WHERE log = %(log)s

-- name: lock_tree
-- The same, until the end of the transaction for this one alone.
SELECT origin, size FROM {schema}.log_trees WHERE log = %(log)s FOR UPDATE

-- name: put_tree
-- A log of an origin, with no leaves yet.
INSERT INTO {schema}.log_trees (log, origin, size) VALUES (%(log)s, %(origin)s, 0)
ON CONFLICT (log) DO UPDATE SET origin = EXCLUDED.origin, size = 0

-- name: set_size
-- The number of leaves whose hashes are in tiles.
UPDATE {schema}.log_trees SET size = %(size)s WHERE log = %(log)s

-- name: clear_tiles
-- No tiles, so that they are made anew from what is recorded.
DELETE FROM {schema}.log_tiles WHERE log = %(log)s

-- name: select_tiles
-- Tiles by their level and number.
SELECT level, tile, hashes
FROM unnest(%(levels)s::smallint[], %(tiles)s::bigint[]) AS sought (level, tile)
JOIN {schema}.log_tiles USING (level, tile) WHERE log = %(log)s

-- name: put_tiles
-- New tiles, and those that have more hashes than before.
INSERT INTO {schema}.log_tiles (log, level, tile, hashes)
SELECT %(log)s, * FROM unnest(%(levels)s::smallint[], %(tiles)s::bigint[], %(hashes)s::bytea[])
ON CONFLICT (log, level, tile) DO UPDATE SET hashes = EXCLUDED.hashes

-- name: latest_checkpoint
-- The newest note of a log.
SELECT c.number, c.origin, c.size, c.root, c.signed_at, c.handover, c.note,
    ARRAY(SELECT s.line FROM {schema}.log_cosignatures s
          WHERE s.log = c.log AND s.number = c.number ORDER BY s.cosigned_at, s.witness)
FROM {schema}.log_checkpoints c WHERE c.log = %(log)s ORDER BY c.number DESC LIMIT 1

-- name: covering_checkpoint
-- The first note of an origin whose tree has so many leaves.
SELECT c.number, c.origin, c.size, c.root, c.signed_at, c.handover, c.note,
    ARRAY(SELECT s.line FROM {schema}.log_cosignatures s
          WHERE s.log = c.log AND s.number = c.number ORDER BY s.cosigned_at, s.witness)
FROM {schema}.log_checkpoints c WHERE c.log = %(log)s AND c.origin = %(origin)s AND c.size >= %(size)s
ORDER BY c.size, c.number LIMIT 1

-- name: checkpoint_of_size
-- The newest note of an origin over just so many leaves.
SELECT c.number, c.origin, c.size, c.root, c.signed_at, c.handover, c.note,
    ARRAY(SELECT s.line FROM {schema}.log_cosignatures s
          WHERE s.log = c.log AND s.number = c.number ORDER BY s.cosigned_at, s.witness)
FROM {schema}.log_checkpoints c WHERE c.log = %(log)s AND c.origin = %(origin)s AND c.size = %(size)s
ORDER BY c.number DESC LIMIT 1

-- name: list_checkpoints
-- Notes below a number, newest first.
SELECT c.number, c.origin, c.size, c.root, c.signed_at, c.handover, c.note,
    ARRAY(SELECT s.line FROM {schema}.log_cosignatures s
          WHERE s.log = c.log AND s.number = c.number ORDER BY s.cosigned_at, s.witness)
FROM {schema}.log_checkpoints c WHERE c.log = %(log)s AND c.number < %(before)s
ORDER BY c.number DESC LIMIT %(limit)s

-- name: list_hand_overs
-- The notes of an origin that hand over to another key, oldest first.
SELECT c.number, c.origin, c.size, c.root, c.signed_at, c.handover, c.note,
    ARRAY(SELECT s.line FROM {schema}.log_cosignatures s
          WHERE s.log = c.log AND s.number = c.number ORDER BY s.cosigned_at, s.witness)
FROM {schema}.log_checkpoints c WHERE c.log = %(log)s AND c.origin = %(origin)s AND c.handover
ORDER BY c.number

-- name: list_uncosigned
-- What a witness is to cosign: behind the newest note that it has cosigned, those that hand over and the newest one.
SELECT c.number, c.origin, c.size, c.root, c.signed_at, c.handover, c.note, ARRAY[]::text[]
FROM {schema}.log_checkpoints c
WHERE c.log = %(log)s AND c.origin = %(origin)s
    AND c.number > coalesce((SELECT max(s.number) FROM {schema}.log_cosignatures s
                             WHERE s.log = %(log)s AND s.witness = %(witness)s), 0)
    AND (c.handover OR c.number = (SELECT max(number) FROM {schema}.log_checkpoints WHERE log = %(log)s))
ORDER BY c.number

-- name: last_cosigned_size
-- The size of the newest note of an origin that a witness has cosigned.
SELECT c.size FROM {schema}.log_cosignatures s JOIN {schema}.log_checkpoints c USING (log, number)
WHERE s.log = %(log)s AND s.witness = %(witness)s AND c.origin = %(origin)s ORDER BY s.number DESC LIMIT 1

-- name: insert_checkpoint
-- The next note of a log.
INSERT INTO {schema}.log_checkpoints (log, number, origin, size, root, signed_at, handover, note)
SELECT %(log)s, coalesce(max(number), 0) + 1, %(origin)s, %(size)s, %(root)s, %(signed_at)s, %(handover)s, %(note)s
FROM {schema}.log_checkpoints WHERE log = %(log)s
RETURNING number

-- name: insert_cosignature
-- The cosignature of a witness below a note.
INSERT INTO {schema}.log_cosignatures (log, number, witness, cosigned_at, line)
VALUES (%(log)s, %(number)s, %(witness)s, %(cosigned_at)s, %(line)s)
ON CONFLICT (log, number, witness) DO NOTHING

-- name: list_keys
-- The keys of an origin, oldest first.
SELECT vkey FROM {schema}.log_keys WHERE log = %(log)s AND origin = %(origin)s ORDER BY number

-- name: insert_keys
-- Keys of an origin that are not there yet.
INSERT INTO {schema}.log_keys (log, origin, number, vkey)
SELECT %(log)s, %(origin)s, number, vkey
FROM unnest(%(vkeys)s::text[]) WITH ORDINALITY AS keys (vkey, number)
ON CONFLICT (log, origin, number) DO NOTHING

-- name: last_position
-- The position of the last event that is committed.
SELECT last_id FROM {schema}.head

-- name: select_events
-- The columns that the hashes of a range of events are computed over, in the order of the ledger.
SELECT notification_id, uuid_send(originator_id), originator_version, timestamptz_send(recorded_at), previous_hash,
    topic, state
FROM {schema}.ledger_events WHERE notification_id > %(after)s AND notification_id <= %(to)s ORDER BY notification_id

-- name: last_refusal_number
-- The number of the last refusal that has one.
SELECT coalesce(max(number), 0) FROM {schema}.refusal_numbers

-- name: number_first_refusals
-- Numbers for the refusals that were there before they got ids.
INSERT INTO {schema}.refusal_numbers (number, subscription_id, generation_id, version)
SELECT row_number() OVER (ORDER BY refused_at, subscription_id, generation_id, version),
    subscription_id, generation_id, version
FROM {schema}.refusals WHERE refusal_id IS NULL

-- name: number_refusals
-- Numbers for the next refusals in the order of their ids. A transaction may commit a little later than another one
-- that took its ids after it, so those a little below the highest that has a number are looked at again.
WITH numbered AS (
    SELECT coalesce(max(refusal_id), 0) AS highest FROM (
        SELECT refusal_id FROM {schema}.refusal_numbers ORDER BY number DESC LIMIT 1000) AS newest
), next AS (
    SELECT refusal_id, subscription_id, generation_id, version
    FROM {schema}.refusals AS each, numbered
    WHERE each.refusal_id > numbered.highest - 10000 AND NOT EXISTS (
        SELECT FROM {schema}.refusal_numbers AS known
        WHERE known.subscription_id = each.subscription_id AND known.generation_id = each.generation_id
            AND known.version = each.version)
    ORDER BY refusal_id LIMIT %(limit)s
)
INSERT INTO {schema}.refusal_numbers (number, refusal_id, subscription_id, generation_id, version)
SELECT (SELECT coalesce(max(number), 0) FROM {schema}.refusal_numbers) + row_number() OVER (ORDER BY refusal_id),
    refusal_id, subscription_id, generation_id, version
FROM next

-- name: select_refusals
-- A range of refusals by their numbers.
SELECT number, subscription_id, generation_id, version, model, settings::text, code, required_credits,
    balance_credits, refused_at, op, available_credits
FROM {schema}.refusal_numbers LEFT JOIN {schema}.refusals USING (subscription_id, generation_id, version)
WHERE number > %(after)s AND number <= %(to)s ORDER BY number

-- name: set_refused
-- Why the sealer refuses, or that it does not.
UPDATE {schema}.log_sealing SET refused = %(refused)s

-- name: set_witnessed_size
-- The size of the largest tree of which a quorum of witnesses has cosigned a note.
UPDATE {schema}.log_sealing SET witnessed_size = %(size)s

-- name: select_status
-- Why the sealer refuses, when the newest note was signed, and when the oldest event was recorded that none covers
-- which a quorum of witnesses has cosigned; where there are no witnesses, that none covers.
SELECT sealing.refused, newest.signed_at, unwitnessed.recorded_at
FROM {schema}.log_sealing AS sealing
LEFT JOIN LATERAL (
    SELECT size, signed_at FROM {schema}.log_checkpoints WHERE log = 'events' ORDER BY number DESC LIMIT 1
) AS newest ON true
LEFT JOIN {schema}.ledger_events AS unwitnessed ON unwitnessed.notification_id = 1 +
    coalesce(CASE WHEN %(has_witnesses)s THEN sealing.witnessed_size ELSE newest.size END, 0)
