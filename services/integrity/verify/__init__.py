"""The check of a whole ledger: hash chains, log, rules and read models.

verification.py    runs all parts in one snapshot, in one process or several
order.py           the ledger in its order: positions, the head row
log.py             the log over it: its tiles and its tree
notes.py           the signed notes of it, beside seals and keys
pinned.py          checkpoints and keys that somebody wrote down, and cosignatures
trust.py           what is known from outside the database
schema.py          the schema itself
grounds.py         what a check rests on, checked or not available
streams.py         each stream: its chain, its fold, its rules, its rows
disputes.py        what a dispute and the stream of its charge say of each other
rows.py            rows that are made from a state, and snapshots
event_rows.py      rows that are made from single events
stored_columns.py  rows read as bytes and numbers, whatever their values
verify.sql         the queries of all of these
"""
