-- The disputed charges read model: which charge each dispute is about. A charge has one open dispute at most.
CREATE TABLE {schema}.disputed_charges (
    dispute_id uuid PRIMARY KEY,
    subscription_id uuid NOT NULL,
    generation_id text NOT NULL,
    resolved_in_version bigint
);

CREATE INDEX disputed_charges_open_idx ON {schema}.disputed_charges (subscription_id, generation_id)
    WHERE resolved_in_version IS NULL;

INSERT INTO {schema}.disputed_charges (dispute_id, subscription_id, generation_id, resolved_in_version)
SELECT opened.originator_id, (opened.data ->> 'subscription_id')::uuid, opened.data ->> 'generation_id',
       resolved.originator_version
FROM (
    SELECT originator_id, convert_from(state, 'UTF8')::json -> 'data' AS data
    FROM {schema}.ledger_events WHERE topic = 'DisputeOpened'
) AS opened
LEFT JOIN {schema}.ledger_events AS resolved
    ON resolved.originator_id = opened.originator_id AND resolved.topic = 'DisputeResolved';
