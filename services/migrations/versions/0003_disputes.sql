-- The disputes read model: where each dispute is recorded, and how far it is. `position` is that of its opening.
CREATE TABLE {schema}.disputes (
    position bigint NOT NULL,
    version bigint NOT NULL,
    opened_at timestamptz NOT NULL,
    dispute_id uuid PRIMARY KEY,
    subscription_id uuid NOT NULL,
    generation_id text NOT NULL,
    reason text NOT NULL,
    status text NOT NULL
);

CREATE UNIQUE INDEX disputes_position_idx ON {schema}.disputes (position);
CREATE INDEX disputes_subscription_idx ON {schema}.disputes (subscription_id, position);
CREATE INDEX disputes_status_idx ON {schema}.disputes (status, position);
