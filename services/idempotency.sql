-- Answers that were given under idempotency keys, to requests that do not go through the writer lane.

-- name: find_answer
-- What was answered under a key, and to which request.
SELECT request_hash, answer FROM {schema}.idempotent_answers
WHERE key_id = %(key_id)s AND idempotency_key = %(key)s

-- name: keep_answer
-- Keeps an answer; of two that were given at once, the first.
INSERT INTO {schema}.idempotent_answers (key_id, idempotency_key, request_hash, answer, answered_at)
VALUES (%(key_id)s, %(key)s, %(request_hash)s, %(answer)s, %(answered_at)s)
ON CONFLICT (key_id, idempotency_key) DO NOTHING
