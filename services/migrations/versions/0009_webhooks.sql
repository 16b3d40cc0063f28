-- Webhooks: endpoints with how far each is, and what differs from "everything up to there is delivered".
CREATE TABLE {schema}.webhooks (
    webhook_id uuid PRIMARY KEY,
    url text NOT NULL,
    types text[] NOT NULL,
    description text,
    created_at timestamptz NOT NULL,
    -- The secret that signs, and the one before it as long as both do.
    secret text NOT NULL,
    old_secret text,
    old_secret_until timestamptz,
    -- Messages of events behind here are listed.
    first_position bigint NOT NULL,
    -- Every message up to here is delivered, held up or parked.
    position bigint NOT NULL,
    -- Counts changes from outside: what a process writes that has not seen the newest is refused.
    generation bigint NOT NULL DEFAULT 1,
    failing_since timestamptz,
    disabled_at timestamptz
);

-- The subscriptions whose next message, at this place, an endpoint has not taken. Those behind it wait.
CREATE TABLE {schema}.webhook_hold_ups (
    webhook_id uuid NOT NULL REFERENCES {schema}.webhooks ON DELETE CASCADE,
    subscription_id uuid NOT NULL,
    position bigint NOT NULL,
    ordinal bigint NOT NULL,
    attempts bigint NOT NULL,
    last_status bigint,
    last_error text,
    next_attempt_at timestamptz NOT NULL,
    PRIMARY KEY (webhook_id, subscription_id)
);

-- Messages that were parked, or delivered otherwise than by the first try with status 200; the latter for a week.
CREATE TABLE {schema}.webhook_outcomes (
    webhook_id uuid NOT NULL REFERENCES {schema}.webhooks ON DELETE CASCADE,
    position bigint NOT NULL,
    ordinal bigint NOT NULL,
    status text NOT NULL,
    attempts bigint NOT NULL,
    last_status bigint,
    last_error text,
    settled_at timestamptz NOT NULL,
    PRIMARY KEY (webhook_id, position, ordinal)
);

-- Messages that no event brings about: of tests, checkpoints and verifications. Kept for a week.
CREATE TABLE {schema}.webhook_notices (
    notice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id uuid NOT NULL REFERENCES {schema}.webhooks ON DELETE CASCADE,
    type text NOT NULL,
    made_at timestamptz NOT NULL,
    data text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    attempts bigint NOT NULL DEFAULT 0,
    last_status bigint,
    last_error text,
    next_attempt_at timestamptz
);

CREATE INDEX webhook_notices_due_idx ON {schema}.webhook_notices (next_attempt_at)
    WHERE status IN ('pending', 'retrying');
CREATE INDEX webhook_notices_webhook_idx ON {schema}.webhook_notices (webhook_id, notice_id);

-- The events of a subscription include those of its disputes.
CREATE INDEX disputed_charges_subscription_idx ON {schema}.disputed_charges (subscription_id);

-- The newest checkpoint of which endpoints were told.
CREATE TABLE {schema}.webhook_marks (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    checkpoint bigint NOT NULL
);

INSERT INTO {schema}.webhook_marks (checkpoint)
SELECT coalesce(max(number), 0) FROM {schema}.log_checkpoints WHERE log = 'events';
