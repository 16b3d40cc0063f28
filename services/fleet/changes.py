"""What a run changes in every history, and the mark by which its corrections are known."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from services.catalogue import Catalogue, load_catalogue
from services.catalogue.policies import UpgradePolicy
from services.subscription.what_if import Changes

_ENCODE = msgspec.json.Encoder(decimal_format="string", order="deterministic").encode
_GENERATION = re.compile(r"(?:(?P<subscription>[0-9a-fA-F-]{36})[ \t,]+)?(?P<generation>[A-Za-z0-9._:-]{1,128})")


class BadGenerations(ValueError):
    """A line of a file of generations is none; the message names it."""


class Generations(Struct, frozen=True):
    """Generations to take out: anywhere, and of one subscription each."""

    anywhere: frozenset[str] = frozenset()
    by_subscription: Mapping[UUID, frozenset[str]] = {}

    def of(self, subscription_id: UUID) -> frozenset[str]:
        """Return those of a subscription."""
        return self.anywhere | self.by_subscription.get(subscription_id, frozenset())

    def names(self) -> Iterator[tuple[UUID | None, str]]:
        """Yield each once, in order."""
        yield from ((None, each) for each in sorted(self.anywhere))
        for id in sorted(self.by_subscription):
            yield from ((id, each) for each in sorted(self.by_subscription[id]))


class CatalogueText(Struct, frozen=True):
    """A catalogue as it is handed to a process, and the name of its file."""

    text: str
    source: str

    def load(self) -> Catalogue:
        """Read it. Raises CatalogueError."""
        return load_catalogue(self.text, self.source)


class FleetChanges(Struct, frozen=True):
    """The changes of a run, all of them together; `plan_id` names the plan whose subscriptions are replayed."""

    reprice: Mapping[str, Decimal] = {}
    upgrade_policy: UpgradePolicy | None = None
    catalogue: CatalogueText | None = None
    without: Generations = Generations()
    plan_id: str | None = None

    def described(self) -> dict[str, Any]:
        """Describe what is changed, as the head of a run has it. Files are named by the hash of what they say."""
        described: dict[str, Any] = {}
        if self.reprice:
            described["reprice"] = dict(self.reprice)
        if self.upgrade_policy is not None:
            described["upgrade_policy"] = self.upgrade_policy
        if self.catalogue is not None:
            described["catalogue_sha256"] = sha256(self.catalogue.text.encode()).hexdigest()
        if names := list(self.without.names()):
            described["without_generations"] = len(names)
            described["without_sha256"] = sha256(_ENCODE(names)).hexdigest()
        return described

    @property
    def mark(self) -> str:
        """How the ids of the runs of these changes begin, whichever plan they were for and whenever they ran."""
        return f"{sha256(_ENCODE(self.described())).hexdigest()[:16]}-"

    def core(self, subscription_id: UUID, catalogue: Catalogue | None) -> Changes:
        """Return the changes of one subscription."""
        return Changes(
            without_generations=self.without.of(subscription_id),
            reprice=self.reprice,
            upgrade_policy=self.upgrade_policy,
            catalogue=catalogue,
            settled_by=self.mark,
        )


def read_generations(text: str, source: str) -> Generations:
    """Read one generation a line, alone or behind the id of its subscription. Raises BadGenerations."""
    anywhere, by_subscription = set[str](), dict[UUID, set[str]]()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            id, generation_id = _read_generation(line.strip())
        except ValueError:
            raise BadGenerations(f"{source}:{number}: expected GENERATION, or SUBSCRIPTION GENERATION") from None
        (anywhere if id is None else by_subscription.setdefault(id, set())).add(generation_id)
    return Generations(frozenset(anywhere), {id: frozenset(each) for id, each in by_subscription.items()})


def _read_generation(line: str) -> tuple[UUID | None, str]:
    found = _GENERATION.fullmatch(line)
    if found is None:
        raise ValueError(line)
    return UUID(found["subscription"]) if found["subscription"] else None, found["generation"]
