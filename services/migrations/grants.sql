-- Two roles: the owner migrates and rebuilds; `tallystick_service` reads and writes, and cannot change what was recorded.
-- Run with every migration, since tables may be new; where the user may not make or grant roles, everything works as
-- before, with the owner's rights, and a notice says so.
DO $grants$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tallystick_service') THEN
        BEGIN
            CREATE ROLE tallystick_service NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- a migration of another database was faster
        END;
    END IF;
    GRANT USAGE ON SCHEMA {schema} TO tallystick_service;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO tallystick_service;
    REVOKE UPDATE, DELETE ON {schema}.ledger_events, {schema}.refusals, {schema}.log_checkpoints, {schema}.log_cosignatures,
        {schema}.log_keys, {schema}.refusal_numbers, {schema}.api_key_changes FROM tallystick_service;
    REVOKE INSERT, UPDATE, DELETE ON {schema}.alembic_version FROM tallystick_service;
    -- What a rebuild puts in the place of a table has the same rights.
    ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO tallystick_service;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'the role tallystick_service was not set up: %', SQLERRM;
END
$grants$;
