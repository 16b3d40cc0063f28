"""Packs members that were altered under a manifest that fits them, signed with a key."""

from collections.abc import Mapping
from typing import Any

import rfc8785
from msgspec import to_builtins

from services.evidence.archive import pack
from services.evidence.documents import rfc3339
from services.evidence.manifest import FORM, MANIFEST, MEMBERS, members_of
from services.log.keys import Signer
from services.log.note import sign_note
from tests.unit.evidence.cases import DISPUTE_ID, KEY, MADE_AT, SUBSCRIPTION_ID
from tests.unit.evidence.memory_log import ORIGIN


def resigned(members: Mapping[str, bytes], key: Signer = KEY, **changes: Any) -> bytes:
    """Sign members, and what is changed in their manifest."""
    held = {name: members[name] for name in MEMBERS}
    manifest = {
        "made_at": rfc3339(MADE_AT),
        "origin": ORIGIN,
        "subscription_id": str(SUBSCRIPTION_ID),
        "dispute_id": str(DISPUTE_ID),
        "generation_id": "track",
        "members": to_builtins(members_of(held)),
        **changes,
    }
    text = f"{FORM}\n{rfc8785.dumps(manifest).decode()}\n"
    return pack({**held, MANIFEST: str(sign_note(text, [key])).encode()})
