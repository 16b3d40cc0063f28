-- API keys. Only hashes are stored: a key that is lost cannot be read back, only rotated or revoked. Each statement that
-- changes a key records who did it, in one.

-- name: find_key
-- The key that hashes to this, while it holds, how long that is in seconds, and whether its last use is to be noted.
SELECT key_id, scopes, account_ids, subscription_ids,
    extract(epoch FROM least(expires_at, CASE WHEN key_hash <> %(key_hash)s THEN previous_until END) - now())::float8,
    last_used_at IS NULL OR last_used_at < now() - make_interval(secs => %(coarse_seconds)s)
FROM {schema}.api_keys
WHERE (key_hash = %(key_hash)s OR (previous_hash = %(key_hash)s AND previous_until > now()))
    AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())

-- name: note_use
-- That a key was used, now.
UPDATE {schema}.api_keys SET last_used_at = now()
WHERE key_id = %(key_id)s AND (last_used_at IS NULL OR last_used_at < now() - make_interval(secs => %(coarse_seconds)s))

-- name: insert_key
-- A new key.
WITH made AS (
    INSERT INTO {schema}.api_keys
        (key_id, key_hash, name, scopes, created_at, created_by, expires_at, account_ids, subscription_ids)
    VALUES (%(key_id)s, %(key_hash)s, %(name)s, %(scopes)s, now(), %(by)s,
        now() + make_interval(secs => %(expires_in)s::float8), %(account_ids)s, %(subscription_ids)s)
    RETURNING key_id, expires_at
), noted AS (
    INSERT INTO {schema}.api_key_changes (key_id, action, changed_at, changed_by)
    SELECT key_id, 'created', now(), %(by)s FROM made
)
SELECT expires_at FROM made

-- name: put_bootstrap_key
-- The key of first start. Another secret takes its place; the same one again changes nothing, so that a start does
-- not bring back a key that was revoked, or a secret that was rotated away.
WITH put AS (
    INSERT INTO {schema}.api_keys AS k (key_id, key_hash, name, scopes, created_at, created_by)
    VALUES (%(key_id)s, %(key_hash)s, %(name)s, %(scopes)s, now(), %(by)s)
    ON CONFLICT (key_id) DO UPDATE
    SET key_hash = EXCLUDED.key_hash, scopes = EXCLUDED.scopes, created_at = EXCLUDED.created_at,
        created_by = EXCLUDED.created_by, previous_hash = NULL, previous_until = NULL, revoked_at = NULL
    WHERE k.key_hash <> EXCLUDED.key_hash AND k.previous_hash IS DISTINCT FROM EXCLUDED.key_hash
    RETURNING key_id, xmax = 0 AS is_new
)
INSERT INTO {schema}.api_key_changes (key_id, action, changed_at, changed_by)
SELECT key_id, CASE WHEN is_new THEN 'created' ELSE 'rotated' END, now(), %(by)s FROM put

-- name: rotate_key
-- A new secret for a key that holds. The one before holds on for a while, and one before that no longer.
WITH rotated AS (
    UPDATE {schema}.api_keys
    SET previous_hash = key_hash, previous_until = now() + make_interval(secs => %(overlap)s), key_hash = %(key_hash)s
    WHERE key_id = %(key_id)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
    RETURNING key_id, name, scopes, expires_at, account_ids, subscription_ids
), noted AS (
    INSERT INTO {schema}.api_key_changes (key_id, action, changed_at, changed_by)
    SELECT key_id, 'rotated', now(), %(by)s FROM rotated
)
SELECT name, scopes, expires_at, account_ids, subscription_ids FROM rotated

-- name: revoke_key
-- Revokes a key that was not revoked before, both secrets of it.
WITH revoked AS (
    UPDATE {schema}.api_keys SET revoked_at = now() WHERE key_id = %(key_id)s AND revoked_at IS NULL RETURNING key_id
)
INSERT INTO {schema}.api_key_changes (key_id, action, changed_at, changed_by)
SELECT key_id, 'revoked', now(), %(by)s FROM revoked

-- name: list_keys
-- Every key that was ever made, oldest first.
SELECT key_id, name, scopes, account_ids, subscription_ids, created_at, created_by, expires_at, revoked_at, last_used_at
FROM {schema}.api_keys ORDER BY created_at, key_id

-- name: list_changes
-- What was done to keys, oldest first.
SELECT key_id, action, changed_at, changed_by FROM {schema}.api_key_changes ORDER BY number
