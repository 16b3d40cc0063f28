"""The schema of a ledger as Alembic revisions, each a file of plain SQL.

migrate.py    applies the revisions that are missing
revisions.py  which ones are missing
env.py        Alembic's entry
sql_file.py   runs SQL files, those of revisions and others
description.py  what a schema is made of, and in what it differs from what the migrations make
description.sql the query of it
schema.txt    what the migrations make, written by `make schema`
grants.sql    the rights of the service's role, after every migration
"""

SERVICE_ROLE = "tallystick_service"
"""Role of a service's processes on the embedded PostgreSQL: it cannot change events."""
