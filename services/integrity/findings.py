"""Collects what a check found not to hold, in the order of the ledger."""

import heapq
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct

from projections.declaration import MAX_POSITION

FINDINGS_LIMIT = 100
BEHIND_EVENTS = 2**62
"""Added to the position of rows that are made of events, so that the event that is wrong is named before its rows."""
NOWHERE = BEHIND_EVENTS - 1
"""The position of findings that belong to no event: behind all that do."""


class Finding(Struct, frozen=True, order=True):
    """Something that does not hold, at an event's position, or at MAX_POSITION where it belongs to no event."""

    position: int
    subject: str
    reason: str

    @property
    def place(self) -> int | None:
        """The position of the event that it is about, or nearest to; None where it belongs to none."""
        if self.position >= MAX_POSITION or self.position == NOWHERE:
            return None
        return self.position - BEHIND_EVENTS if self.position >= BEHIND_EVENTS else self.position

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"


class Findings:
    """The first FINDINGS_LIMIT findings by position, and the number of all: memory does not grow with the damage."""

    def __init__(self) -> None:
        self.total = 0
        self._first: list[tuple[int, int, Finding]] = []  # a heap with the last one on top

    def add(self, position: int, subject: str, reason: str) -> None:
        """Add a finding."""
        self.total += 1
        self._push(Finding(position, subject, reason), self.total)

    def merge(self, other: "Findings") -> None:
        """Add the findings of another check."""
        for number, finding in enumerate(other.first(), start=1):
            self._push(finding, self.total + number)
        self.total += other.total

    def _push(self, finding: Finding, number: int) -> None:
        entry = (-finding.position, -number, finding)
        if len(self._first) < FINDINGS_LIMIT:
            heapq.heappush(self._first, entry)
        else:
            heapq.heappushpop(self._first, entry)

    def first(self) -> list[Finding]:
        """The first findings in the ledger's order; those of one position in the order in which they were added."""
        return [finding for _, _, finding in sorted(self._first, reverse=True)]


def event_name(row: Sequence[Any]) -> str:
    """The name of an event in findings, from the row of it that a check scans."""
    position, stream_id, version, _, _, topic, _ = row
    return f"event {position} ({topic}, version {version} of {UUID(bytes=stream_id)})"
