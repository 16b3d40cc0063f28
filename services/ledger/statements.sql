-- Statements: the cycles of a subscription, and the events of one of them.

-- name: select_cycles
-- The cycles of a subscription, oldest first, as far as the projector has come.
SELECT first_version, cycle_number, plan_id FROM {schema}.cycles WHERE subscription_id = %(id)s ORDER BY first_version

-- name: select_beginnings
-- The events after a version that begin a cycle or a term: those that the projector has still to come to.
SELECT originator_version, topic, state FROM {schema}.ledger_events
WHERE originator_id = %(id)s AND originator_version > %(after)s AND originator_version <= %(until)s
    AND topic IN ('SubscriptionStarted', 'CycleReset', 'PlanUpgraded', 'TermRenewed')
ORDER BY originator_version

-- name: select_events
-- The events of a subscription from a version to another.
SELECT topic, state, recorded_at FROM {schema}.ledger_events
WHERE originator_id = %(id)s AND originator_version BETWEEN %(first)s AND %(last)s
ORDER BY originator_version

-- name: select_position
-- The position of a version.
SELECT notification_id FROM {schema}.ledger_events WHERE originator_id = %(id)s AND originator_version = %(version)s
