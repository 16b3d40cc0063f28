"""Rebuilds read models from the events, beside the tables in use, while writes go on.

rebuild.py      one rebuild from beginning to end: make, fill, catch up, compare, swap
fill.py         reads the ledger up to a position, in one process, and hands its events to targets
targets.py      make rows of events and copy them into empty tables; an import uses them too
processes.py    spreads work over processes
tail.py         applies the newest events to tables that are filled
compare.py      how the tables in use differ from the rebuilt ones
staging.py      makes tables beside the ones in use, and swaps them in
rebuild.sql     the statements of all these
staging.sql     what the catalog of PostgreSQL says of a table
"""
