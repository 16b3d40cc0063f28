-- Checkpoints: each a signed Merkle root over the events since the one before it, whose hash it names. The public key
-- is in each, so that a checkpoint still verifies after the key was replaced.
CREATE TABLE {schema}.checkpoints (
    number bigint PRIMARY KEY,
    from_position bigint NOT NULL,
    to_position bigint NOT NULL,
    made_at timestamptz NOT NULL,
    ledger bytea NOT NULL,
    root bytea NOT NULL,
    previous_hash bytea NOT NULL,
    public_key bytea NOT NULL,
    -- The key that signs from the next checkpoint on, where this one hands over.
    next_public_key bytea,
    signature bytea NOT NULL,
    -- The first two bytes of each event's hash: not signed, only to name the event that does not fit the root.
    leaf_tags bytea NOT NULL,
    CHECK (number > 0 AND from_position > 0 AND to_position >= from_position - 1)
);

CREATE INDEX checkpoints_position_idx ON {schema}.checkpoints (to_position, from_position);

CREATE TRIGGER checkpoints_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();
