-- Holds: what the balance row says of them, what became of each beside the charges, and which request was refused.
ALTER TABLE {schema}.balance
    ADD COLUMN held_credits bigint NOT NULL DEFAULT 0,
    ADD COLUMN holds_expire_at timestamptz;

ALTER TABLE {schema}.charges
    ADD COLUMN captured_in_version bigint,
    ADD COLUMN released_in_version bigint,
    ADD COLUMN expired_in_version bigint;

ALTER TABLE {schema}.refusals
    ADD COLUMN op text NOT NULL DEFAULT 'charge',
    ADD COLUMN available_credits bigint;
