-- The rate cards that the ledger was opened with, by version.

-- name: select_cards
-- The cards by version.
SELECT version, card FROM {schema}.rate_cards

-- name: insert_card
-- Stores a card unless its version has one; returns the one that it then has.
INSERT INTO {schema}.rate_cards (version, card) VALUES (%(version)s, %(card)s)
ON CONFLICT (version) DO UPDATE SET version = EXCLUDED.version RETURNING card

-- name: is_used
-- Whether something was charged or held under a version; neither is older than the instant from which its card was in force.
SELECT EXISTS (
    SELECT FROM {schema}.ledger_events
    WHERE topic IN ('GenerationCharged', 'CreditsHeld') AND recorded_at >= %(effective_from)s
        AND convert_from(state, 'UTF8')::json #>> '{data,price,rate_card}' = %(version)s
)

-- name: replace_card
-- Stores a card in the place of another one of its version.
UPDATE {schema}.rate_cards SET card = %(card)s WHERE version = %(version)s
