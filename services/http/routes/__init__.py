"""The handlers of all routes, a module a feature.

subscriptions.py  start subscriptions, read them and their renewals
balances.py       read the balance; hot
charges.py        charge a generation, which is hot, and read charges
holds.py          hold credits and capture them, which is hot; release them, read holds
batches.py        charge many generations in one request; hot
quotes.py         price generations
plan_changes.py   upgrade, downgrade, cancel, resume
catalogue.py      plans and rate cards
events.py         recorded events
refusals.py       refused charges
usage.py          sums of charges and reversals
statements.py     what moved the balance in each cycle
reports.py        trial balances
renewals.py       subscriptions by their next boundary
past.py           as-of and what-if
disputes.py       disputes about charges
proofs.py         receipts of charges and evidence of disputes, as files
log.py            the log for those who follow it: notes, keys, tiles
checkpoints.py    signed checkpoints, and proofs between them
webhooks.py       endpoints of webhooks and their deliveries
clocks.py         test clocks
operations.py     liveness, readiness, metrics
"""

from fastapi import APIRouter

from services.http.routes import (
    balances,
    batches,
    catalogue,
    charges,
    checkpoints,
    clocks,
    disputes,
    events,
    holds,
    log,
    operations,
    past,
    plan_changes,
    proofs,
    quotes,
    refusals,
    renewals,
    reports,
    statements,
    subscriptions,
    usage,
    webhooks,
)

ROUTERS: tuple[APIRouter, ...] = (
    subscriptions.router,
    balances.router,
    charges.hot,
    charges.router,
    holds.hot,
    holds.router,
    batches.router,
    quotes.router,
    plan_changes.router,
    catalogue.router,
    events.router,
    refusals.router,
    usage.router,
    statements.router,
    reports.router,
    renewals.router,
    past.router,
    disputes.router,
    proofs.router,
    checkpoints.router,
    log.router,
    webhooks.router,
    clocks.router,
    operations.router,
)
"""Every router, in the order of the documentation."""
