-- The disputes read model.

-- name: insert_disputes
-- Disputes that were opened.
INSERT INTO {schema}.disputes
    (dispute_id, subscription_id, generation_id, reason, status, version, opened_at, position)
SELECT id, subscription_id, generation_id, reason, 'open', 1, opened_at, position
FROM unnest(
    %(ids)s::uuid[], %(subscription_ids)s::uuid[], %(generation_ids)s::text[], %(reasons)s::text[],
    %(instants)s::timestamptz[], %(positions)s::bigint[]
) AS r (id, subscription_id, generation_id, reason, opened_at, position)

-- name: move_disputes
-- Where disputes stand that were resolved.
UPDATE {schema}.disputes AS d SET status = r.status, version = r.version
FROM unnest(%(ids)s::uuid[], %(statuses)s::text[], %(versions)s::bigint[]) AS r (id, status, version)
WHERE d.dispute_id = r.id

-- name: list_disputes
-- Disputes that were opened before a position, newest first. A filter that is null lets everything through.
SELECT dispute_id, version, position FROM {schema}.disputes
WHERE position < %(before)s
    AND (%(subscription_id)s::uuid IS NULL OR subscription_id = %(subscription_id)s)
    AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY position DESC LIMIT %(limit)s
