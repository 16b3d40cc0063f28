-- The disputes read model.

-- name: list_disputes
-- Disputes that were opened before a position, newest first. A filter that is null lets everything through.
SELECT dispute_id, version, position FROM {schema}.disputes
WHERE position < %(before)s
    AND (%(subscription_id)s::uuid IS NULL OR subscription_id = %(subscription_id)s)
    AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY position DESC LIMIT %(limit)s
