"""Reads parameters outside the body: ids in paths, time zones, versions in `If-Match`."""

import re
from collections.abc import Collection
from functools import cache
from importlib import resources
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends, Path
from msgspec import convert
from starlette.requests import Request

from services.dispute.refusals import UnknownDispute
from services.http.problems import Problem, UnknownCycle, UnknownWebhook, invalid
from services.ledger.submission import UnknownTestClock
from services.subscription.refusals import UnknownSubscription

IF_MATCH = "If-Match"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TAG = re.compile(r'(W/)?"([^"]*)"')
_TAGS = re.compile(r'[ \t,]*((W/)?"[\x21\x23-\x7e\x80-\xff]*"[ \t]*(,[ \t,]*|\Z))+')
_CYCLE = re.compile(r"[1-9][0-9]{0,8}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def subscription_id_of(text: str) -> UUID:
    """Read the id in a path. Raises Problem: no subscription has an id that is no UUID."""
    if not _UUID.fullmatch(text):
        raise Problem(UnknownSubscription())
    return convert(text, UUID)  # much faster than UUID()


async def _subscription_id(subscription_id: Annotated[str, Path()]) -> UUID:
    return subscription_id_of(subscription_id)


SubscriptionId = Annotated[UUID, Depends(_subscription_id)]


async def _test_clock_id(test_clock_id: Annotated[str, Path()]) -> str:
    if not _UUID.fullmatch(test_clock_id):
        raise Problem(UnknownTestClock(test_clock_id), status=404)
    return test_clock_id.lower()


TestClockPath = Annotated[str, Depends(_test_clock_id)]


def dispute_id_of(text: str) -> UUID:
    """Read the id in a path. Raises Problem: no dispute has an id that is no UUID."""
    if not _UUID.fullmatch(text):
        raise Problem(UnknownDispute())
    return UUID(text)


async def _dispute_id(dispute_id: Annotated[str, Path()]) -> UUID:
    return dispute_id_of(dispute_id)


DisputeId = Annotated[UUID, Depends(_dispute_id)]


def cycle_of(text: str) -> int:
    """Read the number of a cycle in a path. Raises Problem for what is none."""
    if not _CYCLE.fullmatch(text):
        raise Problem(UnknownCycle())
    return int(text)


async def _cycle(cycle: Annotated[str, Path()]) -> int:
    return cycle_of(cycle)


CycleNumber = Annotated[int, Depends(_cycle)]


async def _webhook_id(webhook_id: Annotated[str, Path()]) -> UUID:
    if not _UUID.fullmatch(webhook_id):
        raise Problem(UnknownWebhook())
    return UUID(webhook_id)


WebhookId = Annotated[UUID, Depends(_webhook_id)]


async def expected_versions(request: Request) -> Collection[int] | None:
    """Return the versions that the request's If-Match names; None for any. Raises Problem for what is no entity tag.

    Tags are compared as strings, so `"005"` is no version, and a weak one never matches.
    """
    lines = request.headers.getlist(IF_MATCH)
    tags = ",".join(lines).strip()
    if tags == "*" or not lines:
        return None
    if not _TAGS.fullmatch(tags):
        raise invalid(IF_MATCH, 'must be entity tags such as "7", or *')
    return {int(version) for weak, version in _TAG.findall(tags) if not weak and _VERSION.fullmatch(version)}


IfMatch = Annotated[Collection[int] | None, Depends(expected_versions)]


def time_zone(name: str) -> ZoneInfo:
    """Return the zone of an IANA name. Raises Problem."""
    if name not in _zone_names():
        raise invalid("tz", "is not the name of an IANA time zone, such as Europe/Rome")
    return ZoneInfo(name)


@cache
def _zone_names() -> set[str]:
    """Return the names in use of the time zone database, whatever else this machine has among its zones."""
    names = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    return set(names) - {"Factory"}  # which stands for a machine whose zone nobody has set
