"""Back-ups: all that a ledger is, in a folder, and a ledger made of it again, as it was at its end or before.

archive.py     what lies where in the folder of a back-up
programs.py    PostgreSQL's own programs, run with the password out of sight
following.py   the base of a back-up, and the log of the database that follows on it
recovering.py  a database made of base and log, up to a commit
restoring.py   a whole data directory made of a back-up
"""
