"""The dispute aggregate: a customer disputes a charge, and a person or a rule decides.

commands.py  the commands
decide.py    command -> events | refusal
events.py    the events, whose stored form stays for ever
refusals.py  the reasons for which a command is refused
state.py     events -> state

Pure, like the subscription. A dispute that is upheld reverses its charge; `decide` returns the events of both streams,
so that the ledger records them in one transaction.
"""
