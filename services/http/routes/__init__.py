"""The typed routes, a module a feature."""

from fastapi import APIRouter

from services.http.routes import (
    balances,
    batches,
    catalogue,
    charges,
    disputes,
    events,
    operations,
    past,
    plan_changes,
    quotes,
    refusals,
    renewals,
    subscriptions,
    test_clocks,
)

ROUTERS: tuple[APIRouter, ...] = (
    subscriptions.router,
    balances.router,
    charges.hot,
    charges.router,
    batches.router,
    quotes.router,
    plan_changes.router,
    catalogue.router,
    events.router,
    refusals.router,
    renewals.router,
    past.router,
    disputes.router,
    test_clocks.router,
    operations.router,
)
"""In the order of the documentation."""
