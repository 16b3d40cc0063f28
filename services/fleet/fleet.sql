-- What a run reads: where the ledger stands, histories in ranges of subscriptions, and states to settle.

-- name: select_snapshot
-- The last event that is committed, and the last refusal.
SELECT e.notification_id, e.originator_id, e.originator_version, e.recorded_at, e.previous_hash, e.topic, e.state,
       coalesce((SELECT max(refusal_id) FROM {schema}.refusals), 0)
FROM {schema}.head AS h
JOIN {schema}.ledger_events AS e ON e.notification_id = h.last_id

-- name: select_event_at
-- The event at a position, to be recognised by its hash.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events WHERE notification_id = %(position)s

-- name: select_ranges
-- The ids at which ranges of about so many events end, in order, with the number of events in each.
WITH counted AS (
    SELECT subscription_id, version,
           (sum(version) OVER (ORDER BY subscription_id) - version)::bigint / %(events)s::bigint AS range
    FROM {schema}.balance WHERE %(after)s::uuid IS NULL OR subscription_id > %(after)s
)
SELECT DISTINCT ON (range) subscription_id, sum(version) OVER (PARTITION BY range)::bigint
FROM counted ORDER BY range, subscription_id DESC

-- name: select_histories
-- The events of a range of subscriptions up to a position, stream by stream. Ids come as bytes, which are cheaper.
SELECT uuid_send(originator_id), originator_version, recorded_at, topic, state
FROM {schema}.ledger_events
WHERE (%(after)s::uuid IS NULL OR originator_id > %(after)s) AND originator_id <= %(until)s AND notification_id <= %(position)s
    AND topic <> ALL(%(other_topics)s::text[])
ORDER BY originator_id, originator_version

-- name: select_refusals
-- The refusals of a range of subscriptions, up to one of them; those of before they were numbered come too.
SELECT uuid_send(subscription_id), version, refused_at, op, generation_id, model, settings::text, code,
       required_credits, balance_credits
FROM {schema}.refusals
WHERE (%(after)s::uuid IS NULL OR subscription_id > %(after)s) AND subscription_id <= %(until)s
    AND (refusal_id IS NULL OR refusal_id <= %(refusals)s)

-- name: select_unknown_models
-- Those of some models for which nothing was ever charged.
SELECT model FROM unnest(%(models)s::text[]) AS named (model)
WHERE NOT EXISTS (SELECT FROM {schema}.usage AS u WHERE u.model = named.model) ORDER BY 1

-- name: has_subscribers
-- Whether a subscription has this plan.
SELECT EXISTS (SELECT FROM {schema}.balance WHERE plan_id = %(plan_id)s)

-- name: select_unknown_generations
-- Those of some generations that were neither charged nor held nor refused: of one subscription, or of any.
SELECT named.subscription_id, named.generation_id
FROM unnest(%(subscriptions)s::uuid[], %(generations)s::text[]) AS named (subscription_id, generation_id)
WHERE NOT EXISTS (
        SELECT FROM {schema}.charges AS c WHERE c.generation_id = named.generation_id
            AND (named.subscription_id IS NULL OR c.subscription_id = named.subscription_id)
    )
    AND NOT EXISTS (
        SELECT FROM {schema}.refusals AS r WHERE r.generation_id = named.generation_id
            AND (named.subscription_id IS NULL OR r.subscription_id = named.subscription_id)
    )
ORDER BY 1 NULLS FIRST, 2 LIMIT 10

-- name: select_states
-- The states of subscriptions, from their two rows, and the time of the test clocks that some live by.
SELECT r.subscription_id, r.state, t.now,
       b.version, b.used_credits, b.reversed_credits, b.held_credits, b.holds_expire_at, b.holds
FROM {schema}.renewal AS r
JOIN {schema}.balance AS b USING (subscription_id)
LEFT JOIN {schema}.test_clocks AS t ON t.test_clock_id = r.test_clock_id
WHERE r.subscription_id = ANY(%(ids)s::uuid[])
