-- Lists disputes.

-- name: list_disputes
-- Disputes that were opened below a position, newest first. A filter that is null matches everything.
SELECT dispute_id, version, position FROM {schema}.disputes
WHERE position < %(before)s
    AND (%(subscription_id)s::uuid IS NULL OR subscription_id = %(subscription_id)s)
    AND (%(within)s::uuid[] IS NULL OR subscription_id = ANY(%(within)s))
    AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY position DESC LIMIT %(limit)s
