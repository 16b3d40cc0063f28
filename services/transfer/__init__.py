"""Export and import of a ledger as NDJSON."""
