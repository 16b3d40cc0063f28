-- What evidence reads of the events and of the refusals.

-- name: select_opening
-- The first event of a dispute's stream.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events WHERE originator_id = %(id)s AND originator_version = 1

-- name: select_streams
-- All events of some streams, as of one moment, each stream in its order.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events WHERE originator_id = ANY(%(ids)s)
ORDER BY originator_id, originator_version

-- name: select_charge
-- The event of a charge.
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at, e.previous_hash, e.notification_id
FROM {schema}.charges AS c
JOIN {schema}.ledger_events AS e ON e.originator_id = c.subscription_id
    AND e.originator_version = coalesce(c.captured_in_version, c.version)
WHERE c.subscription_id = %(subscription_id)s AND c.generation_id = %(generation_id)s AND e.topic = 'GenerationCharged'

-- name: select_refusals
-- The refusals of a subscription just before and just after an instant, and those of one generation, that are in the
-- tree of a size of the log of refusals.
WITH around AS (
    (SELECT subscription_id, generation_id, version FROM {schema}.refusals
     WHERE subscription_id = %(subscription_id)s AND refused_at <= %(at)s
     ORDER BY refused_at DESC, version DESC, generation_id LIMIT %(limit)s)
    UNION
    (SELECT subscription_id, generation_id, version FROM {schema}.refusals
     WHERE subscription_id = %(subscription_id)s AND refused_at > %(at)s
     ORDER BY refused_at, version, generation_id DESC LIMIT %(limit)s)
    UNION
    (SELECT subscription_id, generation_id, version FROM {schema}.refusals
     WHERE subscription_id = %(subscription_id)s AND generation_id = %(generation_id)s
     ORDER BY version LIMIT %(limit)s)
)
SELECT n.number, r.subscription_id, r.generation_id, r.version, r.model, r.settings::text, r.code,
    r.required_credits, r.balance_credits, r.refused_at, r.op, r.available_credits
FROM around
JOIN {schema}.refusals AS r USING (subscription_id, generation_id, version)
JOIN {schema}.refusal_numbers AS n USING (subscription_id, generation_id, version)
WHERE n.number <= %(size)s ORDER BY n.number

-- name: select_witnesses
-- The keys of the witnesses that cosigned the newest checkpoint of the log of events.
SELECT witness FROM {schema}.log_cosignatures
WHERE log = 'events' AND number = (SELECT max(number) FROM {schema}.log_checkpoints WHERE log = 'events')
