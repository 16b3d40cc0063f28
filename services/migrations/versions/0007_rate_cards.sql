-- The rate cards that the ledger was opened with, each as JSON. One under which something was charged never changes.
CREATE TABLE {schema}.rate_cards (
    version text PRIMARY KEY,
    card text NOT NULL
);
