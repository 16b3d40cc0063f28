-- What each event moves between granted, used, given back, lapsed, held and left; held and left are changes.
CREATE TABLE {schema}.movements (
    subscription_id uuid NOT NULL,
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    granted_credits bigint NOT NULL,
    used_credits bigint NOT NULL,
    reversed_credits bigint NOT NULL,
    lapsed_credits bigint NOT NULL,
    held_credits bigint NOT NULL,
    left_credits bigint NOT NULL,
    PRIMARY KEY (subscription_id, position)
);

CREATE UNIQUE INDEX movements_position_idx ON {schema}.movements (position);

-- Sums of blocks of them, by the minute: so a trial balance reads blocks, and rows only where it cuts one.
CREATE TABLE {schema}.movement_blocks (
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    minute timestamptz NOT NULL,
    granted_credits bigint NOT NULL,
    used_credits bigint NOT NULL,
    reversed_credits bigint NOT NULL,
    lapsed_credits bigint NOT NULL,
    held_credits bigint NOT NULL,
    left_credits bigint NOT NULL,
    PRIMARY KEY (last_position, minute)
);
