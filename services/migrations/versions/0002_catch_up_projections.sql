-- The position of each projection that is not inline, and the event that stopped it, where one did.
CREATE TABLE {schema}.projection_positions (
    projection text PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0,
    stopped_at_position bigint,
    stopped_because text
) WITH (fillfactor = 20);

-- Use per subscription, day (of UTC), model and asset type. Reversed credits count on the day of the reversal.
CREATE TABLE {schema}.usage (
    subscription_id uuid NOT NULL,
    day date NOT NULL,
    model text NOT NULL,
    asset_type text NOT NULL,
    charges bigint NOT NULL,
    credits bigint NOT NULL,
    reversed_credits bigint NOT NULL,
    PRIMARY KEY (subscription_id, day, model, asset_type)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX usage_day_idx ON {schema}.usage (day, model, asset_type);
