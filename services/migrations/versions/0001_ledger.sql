-- The ledger: one schema holds everything of its subscriptions, and nothing refers to another schema.



-- The event store. The library's columns are originator_id, originator_version, topic, state and notification_id (the
-- position); the ledger adds when an event was recorded and the hash of the one before it in its stream. Fixed-width
-- columns come first, so that no byte goes to alignment.
CREATE TABLE {schema}.ledger_events (
    notification_id bigint NOT NULL,
    originator_version bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    originator_id uuid NOT NULL,
    topic text NOT NULL,
    previous_hash bytea NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (originator_id, originator_version),
    CHECK (originator_version > 0 AND octet_length(previous_hash) = 32)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

CREATE UNIQUE INDEX ledger_events_notification_id_idx ON {schema}.ledger_events (notification_id);

CREATE FUNCTION {schema}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: recorded events do not change', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER ledger_events_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.ledger_events
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();

-- The last position. Its row is locked until the commit, which makes positions gapless and in commit order.
CREATE TABLE {schema}.head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_id bigint NOT NULL
) WITH (fillfactor = 10);

INSERT INTO {schema}.head (last_id) VALUES (0);

-- Snapshots of streams, and the composite type with which the library inserts them.
CREATE TABLE {schema}.ledger_snapshots (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
);

CREATE TYPE {schema}.stored_event_uuid AS (originator_id uuid, originator_version bigint, topic text, state bytea);

-- Test clocks, each with a time of its own that only `advance` moves.
CREATE TABLE {schema}.test_clocks (
    test_clock_id text PRIMARY KEY,
    now timestamptz NOT NULL,
    created_at timestamptz NOT NULL
);

-- Read models written in the transaction of the events they come from.
CREATE TABLE {schema}.balance (
    subscription_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    position bigint NOT NULL,
    used_credits bigint NOT NULL,
    reversed_credits bigint NOT NULL,
    granted_credits bigint NOT NULL,
    carried_credits bigint NOT NULL,
    cycle_number bigint NOT NULL,
    cycle_starts_at timestamptz NOT NULL,
    cycle_ends_at timestamptz NOT NULL,
    credits_renew_at timestamptz,
    status text NOT NULL,
    plan_id text NOT NULL,
    test_clock_id text,
    -- The last line of defence: no bug above this table can overdraw a balance.
    CONSTRAINT balance_is_never_negative CHECK (granted_credits - used_credits + reversed_credits >= 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE {schema}.renewal (
    subscription_id uuid PRIMARY KEY,
    account_id text NOT NULL,
    status text NOT NULL,
    next_due_at timestamptz,
    test_clock_id text,
    state bytea NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX renewal_due_idx ON {schema}.renewal (next_due_at, subscription_id) WHERE next_due_at IS NOT NULL;
CREATE INDEX renewal_account_idx ON {schema}.renewal (account_id, subscription_id);
CREATE INDEX renewal_test_clock_idx ON {schema}.renewal (test_clock_id, next_due_at) WHERE test_clock_id IS NOT NULL;

CREATE TABLE {schema}.charges (
    subscription_id uuid NOT NULL,
    generation_id text NOT NULL,
    version bigint NOT NULL,
    reversed_in_version bigint,
    PRIMARY KEY (subscription_id, generation_id)
);

-- Beside the streams: refused charges, and idempotency records.
CREATE TABLE {schema}.refusals (
    subscription_id uuid NOT NULL,
    generation_id text NOT NULL,
    version bigint NOT NULL,
    model text NOT NULL,
    settings jsonb NOT NULL,
    code text NOT NULL,
    required_credits bigint,
    balance_credits bigint NOT NULL,
    refused_at timestamptz NOT NULL,
    PRIMARY KEY (subscription_id, generation_id, version)
);

CREATE INDEX refusals_newest_idx ON {schema}.refusals (subscription_id, refused_at DESC, generation_id, version);

CREATE TRIGGER refusals_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.refusals
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();

CREATE TABLE {schema}.idempotent_answers (
    key_id text NOT NULL,
    idempotency_key text NOT NULL,
    request_hash bytea NOT NULL,
    answer bytea NOT NULL,
    answered_at timestamptz NOT NULL,
    PRIMARY KEY (key_id, idempotency_key)
);

-- API keys, as hashes only.
CREATE TABLE {schema}.api_keys (
    key_id text PRIMARY KEY,
    key_hash bytea NOT NULL UNIQUE,
    name text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
