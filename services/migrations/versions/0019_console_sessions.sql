-- Who is signed in to the console, by the hashes of the tokens of sessions.
CREATE TABLE {schema}.console_sessions (
    session_hash bytea PRIMARY KEY,
    key_id text NOT NULL,
    agent text NOT NULL,
    csrf_token text NOT NULL,
    expires_at timestamptz NOT NULL
);
