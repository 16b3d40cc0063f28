-- The log: one tree over the events and one over the refusals, as tiles; the notes that were signed of them; and the
-- cosignatures of witnesses below these notes.

-- The origin of each log, and the number of leaves whose hashes are in tiles.
CREATE TABLE {schema}.log_trees (
    log text PRIMARY KEY,
    origin text NOT NULL,
    size bigint NOT NULL,
    CHECK (log IN ('events', 'refusals') AND size >= 0)
);

-- Up to 256 hashes a row. Only the last tile of each level grows, and never loses or changes a hash.
CREATE TABLE {schema}.log_tiles (
    tile bigint NOT NULL,
    level smallint NOT NULL,
    log text NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (log, level, tile),
    CHECK (octet_length(hashes) % 32 = 0 AND octet_length(hashes) BETWEEN 32 AND 8192)
);
ALTER TABLE {schema}.log_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;  -- hashes cannot be compressed

CREATE TABLE {schema}.log_checkpoints (
    number bigint NOT NULL,
    size bigint NOT NULL,
    signed_at timestamptz NOT NULL,
    log text NOT NULL,
    origin text NOT NULL,
    root bytea NOT NULL,
    handover boolean NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (log, number),
    CHECK (number > 0 AND size >= 0 AND octet_length(root) = 32)
);

CREATE INDEX log_checkpoints_size_idx ON {schema}.log_checkpoints (log, origin, size, number);

CREATE TABLE {schema}.log_cosignatures (
    number bigint NOT NULL,
    cosigned_at timestamptz NOT NULL,
    log text NOT NULL,
    witness text NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (log, number, witness)
);

-- The keys of each log, oldest first; the last one signs.
CREATE TABLE {schema}.log_keys (
    log text NOT NULL,
    origin text NOT NULL,
    number bigint NOT NULL,
    vkey text NOT NULL,
    PRIMARY KEY (log, origin, number)
);

-- For those who are asked how the log is: why the sealer refuses, or null; and the size of the largest tree of which a
-- quorum of witnesses has cosigned a note.
CREATE TABLE {schema}.log_sealing (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    refused text,
    witnessed_size bigint
);

INSERT INTO {schema}.log_sealing DEFAULT VALUES;

-- Refusals get an id from a sequence, in the order in which they were made, and with some gaps. Those that are there
-- already have none: to give them one would rewrite the table.
CREATE SEQUENCE {schema}.refusal_ids;
ALTER TABLE {schema}.refusals ADD COLUMN refusal_id bigint;
ALTER TABLE {schema}.refusals ALTER COLUMN refusal_id SET DEFAULT nextval('{schema}.refusal_ids');
-- Whoever may write refusals needs no right of its own for this, whatever the role is that an operator has made.
GRANT USAGE ON SEQUENCE {schema}.refusal_ids TO PUBLIC;
ALTER SEQUENCE {schema}.refusal_ids OWNED BY {schema}.refusals.refusal_id;
CREATE UNIQUE INDEX refusals_id_idx ON {schema}.refusals (refusal_id) WHERE refusal_id IS NOT NULL;

-- The place of each refusal in their log, without gaps: given by the sealer, in the order of the ids, a moment later.
CREATE TABLE {schema}.refusal_numbers (
    number bigint PRIMARY KEY,
    refusal_id bigint,
    version bigint NOT NULL,
    subscription_id uuid NOT NULL,
    generation_id text NOT NULL,
    UNIQUE (subscription_id, generation_id, version),
    CHECK (number > 0)
);

CREATE TRIGGER log_checkpoints_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.log_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();
CREATE TRIGGER log_cosignatures_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.log_cosignatures
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();
CREATE TRIGGER log_keys_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.log_keys
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();
CREATE TRIGGER refusal_numbers_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.refusal_numbers
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();
