-- The open holds of a subscription beside its counters, so that a hold and its end write no other row of its state.
ALTER TABLE {schema}.balance ADD COLUMN holds text NOT NULL DEFAULT '[]';
