"""The schema of a ledger as Alembic revisions, each a file of plain SQL.

migrate.py   applies the revisions that are missing
env.py       Alembic's entry
sql_file.py  runs the SQL file of a revision
grants.sql   the rights of the service's role, after every migration
"""
