-- What the server says of itself.

-- name: describe_server
-- Whether it takes writes, and its clock.
SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off', clock_timestamp()

-- name: probe
-- A write that needs room. It is rolled back.
INSERT INTO {schema}.idempotent_answers (key_id, idempotency_key, request_hash, answer, answered_at)
VALUES ('', 'readiness', '', %(bytes)s, now())
