"""The schema of the ledger, and how it came to be: Alembic revisions, each a file of plain SQL."""
