"""Policies (C2SP `tlog-policy`): the witnesses of a log, and which of them are enough."""

import re
from collections.abc import Collection, Sequence
from typing import Self

from msgspec import Struct

from services.log.keys import BadKey, KeyKind, VerifierKey

NONE = "none"
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_THRESHOLD = re.compile(r"[1-9][0-9]{0,8}")


class BadPolicy(ValueError):
    """The text is no policy; the message names the line."""


class Witness(Struct, frozen=True):
    """A witness: its name in the policy, its key, and the URL to which checkpoints are submitted."""

    name: str
    key: VerifierKey
    url: str | None = None


class Group(Struct, frozen=True):
    """A group, which has witnessed a checkpoint as soon as `threshold` of its members have."""

    threshold: int
    members: tuple[str, ...]


class Policy(Struct, frozen=True):
    """Witnesses and groups by name, and the name of the one that must have witnessed a checkpoint; or `none`."""

    witnesses: dict[str, Witness]
    groups: dict[str, Group]
    quorum: str

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """The policy of a file. Its `log` lines are ignored. Raises BadPolicy."""
        reading = _Reading()
        if _CONTROL.search(content):
            raise BadPolicy("a policy has no control characters but tab and newline")
        lines = content.decode("utf-8", "surrogateescape").split("\n")
        for number, line in enumerate(lines, start=1):
            words = [word for word in re.split(r"[ \t]+", line) if word]
            if not words or words[0].startswith("#"):
                continue
            try:
                reading.take(words[0], words[1:])
            except (BadPolicy, BadKey) as error:
                raise BadPolicy(f"line {number}: {error}") from None
        if reading.quorum is None:
            raise BadPolicy("a policy has one line `quorum NAME`; this has none")
        return cls(reading.witnesses, reading.groups, reading.quorum)

    @property
    def keys(self) -> list[VerifierKey]:
        """The keys of all witnesses."""
        return [witness.key for witness in self.witnesses.values()]

    def is_met_by(self, keys: Collection[VerifierKey]) -> bool:
        """Whether cosignatures by these keys are enough."""
        return self.quorum == NONE or self._has_witnessed(self.quorum, keys)

    def _has_witnessed(self, name: str, keys: Collection[VerifierKey]) -> bool:
        if (witness := self.witnesses.get(name)) is not None:
            return witness.key in keys
        group = self.groups[name]
        return sum(self._has_witnessed(member, keys) for member in group.members) >= group.threshold


class _Reading:
    """What the lines of a policy have defined so far."""

    def __init__(self) -> None:
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()

    def take(self, kind: str, words: Sequence[str]) -> None:
        match kind, *words:
            case "log", _, *rest if len(rest) <= 1:
                pass
            case "witness", name, vkey, *rest if len(rest) <= 1:
                self._define(name)
                self.witnesses[name] = Witness(name, self._key(vkey), rest[0] if rest else None)
            case "group", name, threshold, _, *_:
                self._define(name)
                members = words[2:]
                self._check_members(members)
                self.groups[name] = Group(_threshold(threshold, len(members)), tuple(members))
            case "quorum", name:
                if self.quorum is not None:
                    raise BadPolicy("a second quorum")
                if name != NONE:
                    self._require(name)
                self.quorum = name
            case _:
                raise BadPolicy(
                    "no line of a policy: `log VKEY [URL]`, `witness NAME VKEY [URL]`, `group NAME all|any|K NAME…`, "
                    "`quorum NAME`"
                )

    def _define(self, name: str) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise BadPolicy(f"the name {name} is taken")

    def _require(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise BadPolicy(f"no line above defines {name}")

    def _key(self, vkey: str) -> VerifierKey:
        key = VerifierKey.parse(vkey)
        if key.kind is not KeyKind.COSIGNATURE_V1:
            raise BadPolicy("the key of a witness has signature type 0x04 (cosignature/v1)")
        if any(witness.key.public_key == key.public_key for witness in self.witnesses.values()):
            raise BadPolicy("a second witness with the same public key")
        return key

    def _check_members(self, members: Sequence[str]) -> None:
        for member in members:
            self._require(member)
            if member in self._members:
                raise BadPolicy(f"{member} is a member already")
            self._members.add(member)


def _threshold(text: str, members: int) -> int:
    if text in ("all", "any"):
        return members if text == "all" else 1
    if not _THRESHOLD.fullmatch(text) or int(text) > members:
        raise BadPolicy(f"{text} is no threshold among {members}: `all`, `any` or a number from 1 to {members}")
    return int(text)
