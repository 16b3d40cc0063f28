"""Webhooks: messages about what was recorded, at least once and in order per subscription, to addresses of customers.

Everything up to an endpoint's position is delivered, but for what its hold-ups and outcomes say: a subscription whose
message failed is held up from that message on. So no row is written for a message that is delivered at the first try.

messages.py    the messages that an event brings about, for one endpoint; pure
schedule.py    when a message is tried again; pure
addresses.py   which addresses may be connected to; pure
signing.py     secrets and signatures, by the Standard Webhooks rules
sending.py     one try: over a connection to a judged address, bounded in time and size
store.py       endpoints, hold-ups, outcomes and notices in the database
pages.py       pages of the ledger, read once for all endpoints
courier.py     the deliveries of one endpoint
deliveries.py  lists what was delivered and what was not
role.py        the one process that delivers
metrics.py     what it counts
webhooks.sql   the statements
"""
