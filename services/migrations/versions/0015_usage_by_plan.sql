-- With which version each credit cycle began, and the plan from then on where that event names one.
CREATE TABLE {schema}.cycles (
    subscription_id uuid NOT NULL,
    first_version bigint NOT NULL,
    cycle_number bigint NOT NULL,
    plan_id text,
    PRIMARY KEY (subscription_id, first_version)
) WITH (fillfactor = 90);

-- Usage by cycle, plan and member too ('' for none). The table begins empty, since sums cannot be divided, and the projector
-- fills it anew. A program of before cannot write the new key, so its projector stops, and this one's goes on.
DROP TABLE {schema}.usage;

CREATE TABLE {schema}.usage (
    subscription_id uuid NOT NULL,
    day date NOT NULL,
    cycle_number bigint NOT NULL,
    plan_id text NOT NULL,
    model text NOT NULL,
    asset_type text NOT NULL,
    member text NOT NULL,
    charges bigint NOT NULL,
    credits bigint NOT NULL,
    reversed_credits bigint NOT NULL,
    PRIMARY KEY (subscription_id, day, cycle_number, plan_id, model, asset_type, member)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX usage_day_idx ON {schema}.usage (day, model, asset_type);

UPDATE {schema}.projection_positions SET position = 0, stopped_at_position = NULL, stopped_because = NULL
WHERE projection = 'usage';
