"""What a check found that does not hold, the first of it first."""

import heapq
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct

KEPT = 100
END_OF_LEDGER = 2**63 - 1
"""The place of what belongs to no event."""
BEHIND_EVENTS = 2**62
"""Added to the place of rows that are made of events: an event that does not hold is named before all that follows."""


class Finding(Struct, frozen=True, order=True):
    """Something that does not hold. `position` is its place, an event's that in the ledger; the lowest comes first."""

    position: int
    subject: str
    reason: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"


class Findings:
    """The first findings by position, and how many there are in all: what is kept does not grow with the damage."""

    def __init__(self) -> None:
        self.total = 0
        self._kept: list[tuple[int, int, Finding]] = []  # a heap with the last one on top

    def add(self, position: int, subject: str, reason: str) -> None:
        """Note a finding."""
        self.take(Finding(position, subject, reason))

    def take(self, finding: Finding) -> None:
        """Note a finding that was made elsewhere."""
        self.total += 1
        entry = (-finding.position, -self.total, finding)
        if len(self._kept) < KEPT:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)

    def first(self) -> list[Finding]:
        """What is kept, in the ledger's order; of one place, as it was found."""
        return [finding for _, _, finding in sorted(self._kept, reverse=True)]


def event_name(row: Sequence[Any]) -> str:
    """An event as findings name it, from its row as a check scans it."""
    position, stream_id, version, _, _, topic, _ = row
    return f"event {position} ({topic}, version {version} of {UUID(bytes=stream_id)})"
