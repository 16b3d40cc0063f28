"""PostgreSQL as everything here uses it.

database.py  connections, with the same types on all of them
sessions.py  what a session needs of the server, whatever its defaults
sql.py       named queries from `.sql` files
arrays.py    arrays of rows in PostgreSQL's binary form
session.py   statements in a pipeline, on libpq
embedded/    the server that runs when no database is configured
"""
