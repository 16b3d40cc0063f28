-- The charges read model. The facts of a charge are in its event; `event` columns come in the recorder's order.

-- name: insert_charges
-- The charges of a batch.
INSERT INTO {schema}.charges (subscription_id, generation_id, version)
SELECT * FROM unnest(%(ids)b::uuid[], %(generation_ids)s::text[], %(versions)b::bigint[])

-- name: reverse_charges
-- Marks charges whose credits were given back.
UPDATE {schema}.charges AS c SET reversed_in_version = r.version
FROM unnest(%(ids)s::uuid[], %(generation_ids)s::text[], %(versions)s::bigint[]) AS r (id, generation_id, version)
WHERE c.subscription_id = r.id AND c.generation_id = r.generation_id

-- name: find_charges
-- Which of the asked generations were charged before, each with its event.
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at, e.previous_hash, e.notification_id,
       c.generation_id, c.reversed_in_version IS NOT NULL
FROM unnest(%(ids)b::uuid[], %(generation_ids)s::text[]) AS wanted (id, generation_id)
CROSS JOIN LATERAL (
    SELECT * FROM {schema}.charges WHERE subscription_id = wanted.id AND generation_id = wanted.generation_id LIMIT 1
) AS c
CROSS JOIN LATERAL (
    SELECT * FROM {schema}.ledger_events WHERE originator_id = wanted.id AND originator_version = c.version LIMIT 1
) AS e
