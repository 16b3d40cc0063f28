-- Expiries of holds, for whoever records them in time. There are none yet, so that the index is made at once.
CREATE INDEX balance_holds_idx ON {schema}.balance (holds_expire_at, subscription_id) WHERE holds_expire_at IS NOT NULL;
