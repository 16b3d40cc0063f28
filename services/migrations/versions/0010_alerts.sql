-- The thresholds of alerts that were crossed in the cycle, as JSON: none yet.
ALTER TABLE {schema}.balance ADD COLUMN alerts text NOT NULL DEFAULT '[]';
