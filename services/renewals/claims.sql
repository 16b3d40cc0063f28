-- Claims on shares of the work. They only save double work, so losing one does no harm; the transaction that holds them
-- holds nothing else, and ends with its connection.

-- name: begin_claims
-- A holder that hangs loses its claims after a while, and one that waits for a claim gives up before that.
SELECT set_config('idle_in_transaction_session_timeout', '30s', true), set_config('lock_timeout', '20s', true)

-- name: claim_if_free
-- Whether the share is now this transaction's.
SELECT pg_try_advisory_xact_lock(hashtext('renewals of ' || %(schema)s), hashtext(%(share)s))

-- name: claim
-- Waits until the share is this transaction's.
SELECT pg_advisory_xact_lock(hashtext('renewals of ' || %(schema)s), hashtext(%(share)s))

-- name: keep_claims
-- Says that the holder is alive.
SELECT 1
