-- What a user would write instead of Tallystick: one transaction, a guarded UPDATE and an INSERT under a unique id.

-- name: create
-- The tables of balances and charges, and one for single-row commits.
CREATE TABLE balance (subscription_id bigint PRIMARY KEY, credits bigint NOT NULL CHECK (credits >= 0));
CREATE TABLE charge (
    generation_id uuid PRIMARY KEY,
    subscription_id bigint NOT NULL,
    model text NOT NULL,
    credits bigint NOT NULL,
    charged_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE one_row (value bigint NOT NULL)

-- name: fill
-- One balance for each subscription, too large to run out.
INSERT INTO balance SELECT number, 1000000000000 FROM generate_series(1, %(subscriptions)s) AS number
