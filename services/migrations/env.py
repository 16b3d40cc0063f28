"""Alembic's entry: runs the revisions on the connection that `migrate` holds."""

from alembic import context

schema: str = context.config.attributes["schema"]
context.configure(connection=context.config.attributes["connection"], version_table_schema=schema)
context.run_migrations()
