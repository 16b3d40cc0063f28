"""Reads parameters outside the body: ids in paths, time zones, versions in `If-Match`."""

import re
from functools import cache
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from fastapi import Depends, Path
from msgspec import convert
from starlette.requests import Request

from services.dispute.refusals import UnknownDispute
from services.http.problems import Problem, invalid
from services.ledger.submission import UnknownTestClock
from services.subscription.refusals import UnknownSubscription

IF_MATCH = "If-Match"
NO_VERSION = -1
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_VERSION_TAG = re.compile(r'"([0-9]{1,18})"')
_TAG = re.compile(r'(W/)?"[\x21\x23-\x7e]*"')


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


async def _dispute_id(dispute_id: Annotated[str, Path()]) -> UUID:
    if not _UUID.fullmatch(dispute_id):
        raise Problem(UnknownDispute())
    return UUID(dispute_id)


DisputeId = Annotated[UUID, Depends(_dispute_id)]


async def expected_version(request: Request) -> int | None:
    """Read the version that the client last saw; None for any. Raises Problem for what is no entity tag.

    A tag that this service never sends, and a weak one, match nothing.
    """
    tag = request.headers.get(IF_MATCH, "*").strip()
    if tag == "*":
        return None
    if version := _VERSION_TAG.fullmatch(tag):
        return int(version[1])
    if _TAG.fullmatch(tag):
        return NO_VERSION
    raise invalid(IF_MATCH, 'must be one entity tag such as "7", or *')


IfMatch = Annotated[int | None, Depends(expected_version)]


_zone_names = cache(available_timezones)


def time_zone(name: str) -> ZoneInfo:
    """Return the zone of an IANA name. Raises Problem."""
    if name not in _zone_names():
        raise invalid("tz", "is not the name of an IANA time zone, such as Europe/Rome")
    return ZoneInfo(name)
