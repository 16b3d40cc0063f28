-- API keys. Only hashes are stored: a key that is lost cannot be read back, only revoked.

-- name: insert_key
-- A new key.
INSERT INTO {schema}.api_keys (key_id, key_hash, name, scopes, created_at)
VALUES (%(key_id)s, %(key_hash)s, %(name)s, %(scopes)s, now())

-- name: put_bootstrap_key
-- The key of first start. Another secret takes its place; the same one again changes nothing, so that a start does
-- not bring back a key that was revoked.
INSERT INTO {schema}.api_keys AS k (key_id, key_hash, name, scopes, created_at)
VALUES (%(key_id)s, %(key_hash)s, %(name)s, %(scopes)s, now())
ON CONFLICT (key_id) DO UPDATE
SET key_hash = EXCLUDED.key_hash, scopes = EXCLUDED.scopes, created_at = EXCLUDED.created_at, revoked_at = NULL
WHERE k.key_hash <> EXCLUDED.key_hash

-- name: find_key
-- The key that hashes to this, unless it was revoked.
SELECT key_id, scopes FROM {schema}.api_keys WHERE key_hash = %(key_hash)s AND revoked_at IS NULL

-- name: list_keys
-- Every key that was ever made, oldest first.
SELECT key_id, name, scopes, created_at, revoked_at FROM {schema}.api_keys ORDER BY created_at, key_id

-- name: revoke_key
-- Revokes a key that still holds.
UPDATE {schema}.api_keys SET revoked_at = now() WHERE key_id = %(key_id)s AND revoked_at IS NULL
