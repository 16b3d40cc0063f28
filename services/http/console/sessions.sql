-- Who is signed in to the console. Only hashes of the tokens of sessions are stored.

-- name: insert_session
-- A new session; those that have expired are forgotten.
WITH expired AS (DELETE FROM {schema}.console_sessions WHERE expires_at < now())
INSERT INTO {schema}.console_sessions (session_hash, key_id, agent, csrf_token, expires_at)
VALUES (%(hash)s, %(key_id)s, %(agent)s, %(csrf_token)s, now() + make_interval(secs => %(seconds)s))

-- name: find_session
-- A session that has not expired, with its key while that holds.
SELECT s.agent, s.csrf_token, k.key_id, k.scopes, k.account_ids, k.subscription_ids
FROM {schema}.console_sessions AS s JOIN {schema}.api_keys AS k USING (key_id)
WHERE s.session_hash = %(hash)s AND s.expires_at > now()
    AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())

-- name: delete_session
-- The end of a session.
DELETE FROM {schema}.console_sessions WHERE session_hash = %(hash)s
