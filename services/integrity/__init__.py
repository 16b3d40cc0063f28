"""The tamper evidence of a ledger: its log, the sealer of it, and the check of everything against the events.

signing.py       the Ed25519 keys that sign, and the file of the key in use
rules.py         what an event says of itself, checked against the state before and after
cycles.py        cycles, terms and grants, checked against the state before
findings.py      what a check found not to hold
sealing/         the log of the ledger, and the sealer that only extends it
verify/          the check of a whole ledger
"""
