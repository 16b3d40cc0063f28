"""The tamper evidence of a ledger: signed checkpoints, and the check of everything against the events.

merkle.py        roots and proofs of Merkle trees (RFC 9162)
signing.py       the Ed25519 keys that sign
checkpoints.py   signed Merkle roots over the events, each chained to the one before
sealing.py       makes checkpoints with a key and a receipt outside the database
checkpointer.py  the thread that seals every few seconds
rules.py         what an event says of itself, checked against the state before and after
findings.py      what a check found not to hold
verify/          the check of a whole ledger
"""
