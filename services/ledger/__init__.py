"""The one write path, and the history that it leaves.

The write path:

ledger.py        what the rest of the service calls: put a command, get its answer
gate.py          the same from an event loop
many.py          the same to many subscriptions, one command each
submission.py    a command on its way, and every kind of answer
lane.py          the queue, the thread that empties it, and its retries
tally.py         what the lane has done, in numbers
clock_guard.py   the machine's clock against the database's
transaction.py   load, decide, append: one transaction for a batch of commands
lookups.py       what a transaction reads first
known.py         what it has read: all that is stored of what its commands are about
deciding.py      pure: commands, what is known -> events, refusals, answers
outcomes.py      what the commands come to: answers, and rows to write
replays.py       the answer to a request under an id that was taken before
writes.py        the rows that a batch leaves
heads.py         the cache of stream heads
snapshots.py     snapshots of streams, written off the critical path

What is stored:

records.py       an event as recorded, a charge, a refusal, the head of a stream
hashing.py       the hash chain
mapper.py        stored JSON <-> events; old versions are upcast
recorder.py      the events table: append a batch, read a stream
library.py       the same table as the stock event-sourcing library reads it

rate_cards.py    the rate cards, each the same for ever once it was charged under

What can be read:

history.py         events and refusals as stored
disputes.py        disputes as they are
as_of.py           a subscription as it was
statements.py      what moved the balance in each cycle
what_if.py         a history replayed with a change
"""
