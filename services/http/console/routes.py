"""The routes of all pages of the console."""

from starlette.routing import Route

from services.http.console import assets, books, disputes, health, replays, search, sign_in, subscriptions
from services.http.console.pages import ROUTES

MODULES = (sign_in, search, subscriptions, replays, disputes, books, health, assets)
"""Each registers its pages as it is imported."""


def console_routes() -> list[Route]:
    """Return the routes, to be put into an app."""
    return [*ROUTES]
