-- Endpoints of webhooks, how far each is, and what it has not taken.

-- name: insert_webhook
-- A new endpoint, which begins behind the last event.
INSERT INTO {schema}.webhooks (webhook_id, url, types, description, created_at, secret, first_position, position)
SELECT %(webhook_id)s, %(url)s, %(types)s, %(description)s, %(created_at)s, %(secret)s, last_id, last_id
FROM {schema}.head
RETURNING webhook_id, url, types, description, created_at, secret, old_secret, old_secret_until, first_position, position, generation,
    failing_since, disabled_at

-- name: list_webhooks
-- Endpoints behind an id, by their ids.
SELECT webhook_id, url, types, description, created_at, secret, old_secret, old_secret_until, first_position, position, generation,
    failing_since, disabled_at
FROM {schema}.webhooks WHERE webhook_id > %(after)s ORDER BY webhook_id LIMIT %(limit)s

-- name: find_webhook
-- One endpoint.
SELECT webhook_id, url, types, description, created_at, secret, old_secret, old_secret_until, first_position, position, generation,
    failing_since, disabled_at
FROM {schema}.webhooks WHERE webhook_id = %(webhook_id)s

-- name: delete_webhook
-- Deletes an endpoint with all that is kept of it.
DELETE FROM {schema}.webhooks WHERE webhook_id = %(webhook_id)s

-- name: rotate_secret
-- Gives an endpoint a new secret; the old one signs as well until an instant.
UPDATE {schema}.webhooks
SET old_secret = secret, old_secret_until = %(until)s, secret = %(secret)s, generation = generation + 1
WHERE webhook_id = %(webhook_id)s
RETURNING webhook_id, url, types, description, created_at, secret, old_secret, old_secret_until, first_position, position, generation,
    failing_since, disabled_at

-- name: rewind_webhook
-- Puts an endpoint back to a position, and switches it on. What was held up behind it is delivered again in its turn.
WITH rewound AS (
    UPDATE {schema}.webhooks
    SET position = least(position, %(position)s), first_position = least(first_position, %(position)s),
        generation = generation + 1, failing_since = NULL, disabled_at = NULL
    WHERE webhook_id = %(webhook_id)s
), released AS (
    DELETE FROM {schema}.webhook_hold_ups WHERE webhook_id = %(webhook_id)s AND position > %(position)s
)
DELETE FROM {schema}.webhook_outcomes WHERE webhook_id = %(webhook_id)s AND position > %(position)s

-- name: hurry_hold_ups
-- Lets what an endpoint has not taken be tried now.
UPDATE {schema}.webhook_hold_ups SET next_attempt_at = %(now)s WHERE webhook_id = %(webhook_id)s

-- name: take_over
-- Marks every endpoint as changed, so that a process that delivered before can write nothing more.
UPDATE {schema}.webhooks SET generation = generation + 1

-- name: begin_role
-- A holder that hangs loses the role after a while.
SELECT set_config('idle_in_transaction_session_timeout', '30s', true)

-- name: take_role
-- Whether this transaction has the role: one process delivers at a time.
SELECT pg_try_advisory_xact_lock(hashtext('webhooks of ' || %(schema)s), 0)

-- name: keep_role
-- Says that the holder is alive.
SELECT 1

-- name: commit_progress
-- How far an endpoint is, unless it was changed from outside meanwhile.
UPDATE {schema}.webhooks SET position = greatest(position, %(position)s), failing_since = %(failing_since)s
WHERE webhook_id = %(webhook_id)s AND generation = %(generation)s AND disabled_at IS NULL

-- name: disable_webhook
-- Switches an endpoint off.
UPDATE {schema}.webhooks SET disabled_at = %(now)s, generation = generation + 1
WHERE webhook_id = %(webhook_id)s AND generation = %(generation)s AND disabled_at IS NULL

-- name: list_hold_ups
-- The subscriptions that an endpoint is held up with.
SELECT subscription_id, position, ordinal, attempts, last_status, last_error, next_attempt_at
FROM {schema}.webhook_hold_ups WHERE webhook_id = %(webhook_id)s

-- name: put_hold_up
-- A hold-up as it is now.
INSERT INTO {schema}.webhook_hold_ups
    (webhook_id, subscription_id, position, ordinal, attempts, last_status, last_error, next_attempt_at)
VALUES (%(webhook_id)s, %(subscription_id)s, %(position)s, %(ordinal)s, %(attempts)s, %(last_status)s, %(last_error)s,
        %(next_attempt_at)s)
ON CONFLICT (webhook_id, subscription_id) DO UPDATE
SET position = EXCLUDED.position, ordinal = EXCLUDED.ordinal, attempts = EXCLUDED.attempts,
    last_status = EXCLUDED.last_status, last_error = EXCLUDED.last_error, next_attempt_at = EXCLUDED.next_attempt_at

-- name: delete_hold_ups
-- Hold-ups that are over.
DELETE FROM {schema}.webhook_hold_ups
WHERE webhook_id = %(webhook_id)s AND subscription_id = ANY(%(subscription_ids)s::uuid[])

-- name: put_outcome
-- How a message ended.
INSERT INTO {schema}.webhook_outcomes
    (webhook_id, position, ordinal, status, attempts, last_status, last_error, settled_at)
VALUES (%(webhook_id)s, %(position)s, %(ordinal)s, %(status)s, %(attempts)s, %(last_status)s, %(last_error)s,
        %(settled_at)s)
ON CONFLICT (webhook_id, position, ordinal) DO UPDATE
SET status = EXCLUDED.status, attempts = EXCLUDED.attempts, last_status = EXCLUDED.last_status,
    last_error = EXCLUDED.last_error, settled_at = EXCLUDED.settled_at

-- name: list_outcomes
-- How messages of an endpoint at some positions ended.
SELECT position, ordinal, status, attempts, last_status, last_error
FROM {schema}.webhook_outcomes WHERE webhook_id = %(webhook_id)s AND position = ANY(%(positions)s::bigint[])

-- name: forget_outcomes
-- Forgets what was delivered, and notices, of more than a week ago.
WITH outcomes AS (
    DELETE FROM {schema}.webhook_outcomes WHERE status = 'delivered' AND settled_at < %(before)s
)
DELETE FROM {schema}.webhook_notices WHERE made_at < %(before)s AND status IN ('delivered', 'parked')

-- name: insert_notice
-- A message that no event brings about, to one endpoint.
INSERT INTO {schema}.webhook_notices (webhook_id, type, made_at, data, next_attempt_at)
VALUES (%(webhook_id)s, %(type)s, %(made_at)s, %(data)s, %(made_at)s)
RETURNING notice_id

-- name: insert_notices
-- The same to every endpoint that takes its type.
INSERT INTO {schema}.webhook_notices (webhook_id, type, made_at, data, next_attempt_at)
SELECT webhook_id, %(type)s, %(made_at)s, %(data)s, %(made_at)s
FROM {schema}.webhooks WHERE %(type)s = ANY(types) AND disabled_at IS NULL

-- name: due_notices
-- Notices that are to be tried now.
SELECT n.notice_id, n.webhook_id, n.type, n.made_at, n.data, n.attempts
FROM {schema}.webhook_notices AS n
WHERE n.status IN ('pending', 'retrying') AND n.next_attempt_at <= %(now)s
ORDER BY n.next_attempt_at, n.notice_id LIMIT 100

-- name: move_notice
-- What a try of a notice came to.
UPDATE {schema}.webhook_notices
SET status = %(status)s, attempts = %(attempts)s, last_status = %(last_status)s, last_error = %(last_error)s,
    next_attempt_at = %(next_attempt_at)s
WHERE notice_id = %(notice_id)s

-- name: list_notices
-- The notices of an endpoint below an id, newest first.
SELECT notice_id, type, made_at, status, attempts, last_status, last_error, next_attempt_at
FROM {schema}.webhook_notices WHERE webhook_id = %(webhook_id)s AND notice_id < %(before)s
ORDER BY notice_id DESC LIMIT %(limit)s

-- name: list_messages
-- The events between two positions that bring about messages of some types, newest first.
SELECT originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id
FROM {schema}.ledger_events
WHERE notification_id > %(after)s AND notification_id <= %(until)s
    AND (topic = ANY(%(topics)s) OR position(%(mark)s::bytea IN state) > 0)
ORDER BY notification_id DESC LIMIT %(limit)s

-- name: notice_checkpoints
-- Tells every endpoint that takes their type of the checkpoints that are new, each once.
WITH mark AS (
    SELECT checkpoint FROM {schema}.webhook_marks FOR UPDATE
), new AS (
    SELECT c.number, c.origin, c.size, c.signed_at, c.note
    FROM {schema}.log_checkpoints AS c, mark WHERE c.log = 'events' AND c.number > mark.checkpoint
), moved AS (
    UPDATE {schema}.webhook_marks SET checkpoint = (SELECT max(number) FROM new) WHERE EXISTS (SELECT FROM new)
)
INSERT INTO {schema}.webhook_notices (webhook_id, type, made_at, data, next_attempt_at)
SELECT w.webhook_id, 'checkpoint-signed', new.signed_at,
    json_build_object('origin', new.origin, 'size', new.size, 'note', new.note)::text, new.signed_at
FROM new JOIN {schema}.webhooks AS w
    ON 'checkpoint-signed' = ANY(w.types) AND w.disabled_at IS NULL AND new.signed_at >= w.created_at
