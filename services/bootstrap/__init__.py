"""The composition root: settings in, running parts out. Only this package makes what connects, listens or signs.

database.py         the database, its schema, and connections to it
ledger.py           the catalogue, the ledger, its past, and a made-up history
keys.py             the API keys, and the first of them
signing.py          the key that signs checkpoints, the seals, the sealer
witness.py          a witness of logs
api.py              the API on a socket
service.py          every process of one service
projector.py        the projector, the sealer beside it, and who asks witnesses
renewals.py         the renewal worker
webhooks.py         the role that delivers webhooks
fleet.py            a what-if over all subscriptions, its settlement, and the adoption of terms
audit.py            verification, rebuild, export and import
backup.py           back-ups of the configured ledger, and a data directory made of one
doctor.py           what is well in an installation, and what is not
operator_errors.py  the errors that an operator can mend
"""
