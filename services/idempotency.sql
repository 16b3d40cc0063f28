-- Idempotency records: the first answer to each request that came with an `Idempotency-Key`. An empty answer only
-- guards the key against another request.

-- name: find_records
-- The records of several keys of callers.
SELECT requested.key_id, requested.idempotency_key, a.request_hash, a.answer, a.answered_at
FROM unnest(%(key_ids)b::text[], %(keys)b::text[]) AS requested (key_id, idempotency_key)
JOIN {schema}.idempotent_answers AS a USING (key_id, idempotency_key)

-- name: delete_guards
-- Makes room for records of the same requests that have an answer.
DELETE FROM {schema}.idempotent_answers AS a
USING unnest(%(key_ids)b::text[], %(keys)b::text[], %(hashes)b::bytea[]) AS made (key_id, idempotency_key, request_hash)
WHERE (a.key_id, a.idempotency_key, a.request_hash) = (made.key_id, made.idempotency_key, made.request_hash)
    AND a.answer = ''

-- name: insert_records
-- Stores records. The primary key refuses a second one under a key, so of two that were made at once the first stays.
INSERT INTO {schema}.idempotent_answers (key_id, idempotency_key, request_hash, answer, answered_at)
SELECT * FROM unnest(
    %(key_ids)b::text[], %(keys)b::text[], %(hashes)b::bytea[], %(answers)b::bytea[], %(instants)b::timestamptz[]
)

-- name: insert_guard
-- Reserves a key for a request; no row where the key has a record.
INSERT INTO {schema}.idempotent_answers (key_id, idempotency_key, request_hash, answer, answered_at)
VALUES (%(key_id)s, %(key)s, %(request_hash)s, '', %(now)s)
ON CONFLICT DO NOTHING

-- name: store_answer
-- Stores the first answer under a reserved key; a later one changes nothing.
UPDATE {schema}.idempotent_answers SET answer = %(answer)s, answered_at = %(now)s
WHERE (key_id, idempotency_key) = (%(key_id)s, %(key)s) AND answer = ''
