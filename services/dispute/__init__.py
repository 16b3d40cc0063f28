"""The dispute aggregate: a customer says that a charge was wrong, and somebody decides.

    commands.py   what may be asked            refusals.py   why it may be refused
    decide.py     command -> events | refusal  events.py     what happened
    state.py      events -> state

Pure, like the subscription. A dispute that is upheld gives the charge back; `decide` returns what happens on both
streams, so that the ledger records it in one transaction.
"""
