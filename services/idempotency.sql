-- Idempotency records: the first answer to each request that came with an `Idempotency-Key`.

-- name: find_records
-- The records of several keys of callers.
SELECT requested.key_id, requested.idempotency_key, a.request_hash, a.answer, a.answered_at
FROM unnest(%(key_ids)b::text[], %(keys)b::text[]) AS requested (key_id, idempotency_key)
JOIN {schema}.idempotent_answers AS a USING (key_id, idempotency_key)

-- name: insert_records
-- Stores records. The primary key refuses a second one under a key, so of two that were made at once the first stays.
INSERT INTO {schema}.idempotent_answers (key_id, idempotency_key, request_hash, answer, answered_at)
SELECT * FROM unnest(
    %(key_ids)b::text[], %(keys)b::text[], %(hashes)b::bytea[], %(answers)b::bytea[], %(instants)b::timestamptz[]
)
