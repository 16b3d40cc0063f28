"""The ledger of subscription credits: its rules, its write path, and the programs around it.

catalogue/      what is sold: plans, rate cards, prices                       (pure)
subscription/   the credit rules of a subscription                            (pure)
dispute/        the rules of a dispute                                        (pure)
log/            the transparency log: notes, trees, tiles, witnesses             (pure)
ledger/         the one write path, and the history that it leaves
renewals/       the worker that records due boundaries
webhooks/       messages about what was recorded, to addresses of customers
evidence/       proof of one disputed charge, in a file
integrity/      signed checkpoints, verification
witness/        a witness of logs, which cosigns what only grows
transfer/       export and import
backup/         back-ups, and ledgers made of them
fleet/          what is done to all subscriptions: a what-if, its settlement, new terms
http/           the API
cli/            the `tallystick` command
bootstrap/      the composition root
process/        the processes of a service
keys/           API keys, as hashes
postgres/       connections, queries, pipelines, the embedded server
migrations/     the schema, revision by revision
config.py       the settings
idempotency.py  records of answers by idempotency key
clocks.py       test clocks, on which subscriptions live in their own time
demo.py         a made-up ledger
"""
