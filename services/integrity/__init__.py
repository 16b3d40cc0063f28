"""The tamper evidence of a ledger: signed checkpoints, and the check of everything against the events.

merkle.py        roots and proofs of Merkle trees (RFC 9162)
signing.py       the Ed25519 keys that sign, and the file of the key in use
checkpoints.py   signed Merkle roots over the events, each chained to the one before
receipts.py      the newest checkpoint, as a file outside the database
sealer.py        makes checkpoints with the key, and refuses an older ledger by the receipt
checkpointer.py  the thread that seals every few seconds
rules.py         what an event says of itself, checked against the state before and after
findings.py      what a check found not to hold
sealing/         the log of the ledger, and the sealer that only extends it
verify/          the check of a whole ledger
"""
