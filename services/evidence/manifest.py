"""Writes the manifest: the members of an archive with their hashes, as a note that the log's key signs.

Its text is no checkpoint, since its second line is no size.
"""

from collections.abc import Mapping
from hashlib import sha256
from uuid import UUID

import rfc8785
from msgspec import Struct, to_builtins

FORM = "tallystick-evidence-2"
MANIFEST = "manifest.note"
MEMBERS = (
    "README.txt",
    "report.html",
    "dispute.json",
    "charge.json",
    "dispute-events.ndjson",
    "subscription-events.ndjson",
    "refusals.ndjson",
    "refusals.json",
    "charge.tlog-proof",
    "proofs.json",
    "keys.txt",
    "witnesses.txt",
)
"""The members of an archive before its manifest, in this order."""


class Member(Struct, frozen=True, forbid_unknown_fields=True):
    """A member of an archive: its size in bytes and its SHA-256, in hexadecimal."""

    name: str
    size: int
    sha256: str


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """A list of an archive's members, and the charge that they are about."""

    made_at: str
    origin: str
    subscription_id: UUID
    dispute_id: UUID
    generation_id: str
    members: list[Member]


def members_of(contents: Mapping[str, bytes]) -> list[Member]:
    """Describe the members of an archive, in their order."""
    return [Member(name, len(content), sha256(content).hexdigest()) for name, content in contents.items()]


def manifest_text(manifest: Manifest) -> str:
    """Write a manifest, as it is signed."""
    return f"{FORM}\n{rfc8785.dumps(to_builtins(manifest)).decode()}\n"
