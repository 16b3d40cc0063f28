-- The checkpoints of before the log, each over some events only: the log covers all events from the first one on.
DROP TABLE {schema}.checkpoints;
