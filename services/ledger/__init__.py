"""The shell around the pure core: one write path, and the history that it leaves.

ledger.py      what the rest of the service calls            submission.py  what is put to the lane, what it answers
lane.py        the queue and the one writer thread           batch.py       one transaction: decide, append and project
lookups.py     what a batch looks up before it decides       heads.py       the states that the lane keeps
writes.py      the rows that a batch leaves                  recorder.py    head row and events table
records.py     an event as recorded: who, when, after what   hashing.py     the hash chain
mapper.py      stored JSON <-> events, old versions upcast   snapshots.py   stored behind the lane's back
history.py     events and refusals as stored                 as_of.py       a subscription as it was
what_if.py     history replayed with a change                disputes.py    disputes as they are and were
application.py the event-sourcing library, wired to the above  library.py   its parts on our connections
"""
