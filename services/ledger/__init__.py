"""The shell around the pure core: one write path, and the history that it leaves.

ledger.py     what the rest of the service calls
lane.py       the queue and the one writer thread: group commit, bounded retries
batch.py      one transaction: lock, load, decide, append and project
heads.py      the states that the lane keeps, and how they are caught up
records.py    an event as recorded: who, when, after which hash      hashing.py   the hash chain
mapper.py     stored JSON <-> events, old versions upcast            recorder.py  head row and events table
application.py the event-sourcing library, wired to the above
"""
