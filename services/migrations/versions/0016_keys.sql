-- Keys that expire, rotate, and are confined to accounts and subscriptions; who made them, and when they were last used.
-- What is not confined has empty lists.
ALTER TABLE {schema}.api_keys
    ADD COLUMN created_by text,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN account_ids text[] NOT NULL DEFAULT '{}',
    ADD COLUMN subscription_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN previous_hash bytea,
    ADD COLUMN previous_until timestamptz,
    ADD COLUMN last_used_at timestamptz;

CREATE UNIQUE INDEX api_keys_previous_hash_idx ON {schema}.api_keys (previous_hash) WHERE previous_hash IS NOT NULL;

-- What was done to keys, and by whom; null for what was done before that was asked.
CREATE TABLE {schema}.api_key_changes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id text NOT NULL,
    action text NOT NULL CHECK (action IN ('created', 'rotated', 'revoked')),
    changed_at timestamptz NOT NULL,
    changed_by text
);

INSERT INTO {schema}.api_key_changes (key_id, action, changed_at)
SELECT key_id, action, changed_at FROM (
    SELECT key_id, 'created' AS action, created_at AS changed_at FROM {schema}.api_keys
    UNION ALL
    SELECT key_id, 'revoked', revoked_at FROM {schema}.api_keys WHERE revoked_at IS NOT NULL
) AS before ORDER BY changed_at, action;

CREATE TRIGGER api_key_changes_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.api_key_changes
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();
