"""The log of a ledger: its tree grows with the events, and the sealer signs what extends what it signed before.

log.sql       the tables of the log
store.py      tiles, signed notes, cosignatures and keys, as the database has them
entries.py    the leaves of the two logs: events, and refusals, which get their numbers here
growth.py     writes the tiles of what was recorded
seals.py      every note that was signed, in a folder outside the database
refusing.py   why a sealer refuses
sealer.py     signs what extends its seals, hands keys over, begins again
restored.py   brings seals and a restored database together
reader.py     reads a log for those who follow it
cosigners.py  asks witnesses to cosign
status.py     how far the log is behind, for operators
thread.py     seals every few seconds
"""
