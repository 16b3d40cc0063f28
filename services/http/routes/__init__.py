"""The typed routes, a module a feature."""

from fastapi import APIRouter

from services.http.routes import (
    balances,
    batches,
    catalogue,
    charges,
    clocks,
    disputes,
    events,
    operations,
    past,
    plan_changes,
    quotes,
    refusals,
    renewals,
    subscriptions,
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
    clocks.router,
    operations.router,
)
"""Every router, in the order of the documentation."""
