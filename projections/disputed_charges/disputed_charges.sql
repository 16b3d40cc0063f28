-- The disputed charges read model.

-- name: find_open_disputes
-- The open disputes about the charges of these generations.
SELECT d.subscription_id, d.generation_id, d.dispute_id
FROM unnest(%(ids)b::uuid[], %(generation_ids)b::text[]) AS query (id, generation_id)
JOIN {schema}.disputed_charges AS d ON d.subscription_id = query.id AND d.generation_id = query.generation_id
WHERE d.resolved_in_version IS NULL
