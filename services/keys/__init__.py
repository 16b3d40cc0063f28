"""API keys: who may call, what they may do, and whose subscriptions they may see.

form.py  how a key is written, and how it is told from a mistyped one
ring.py  the keys of a ledger: found for callers, made, rotated and revoked by operators
"""

from services.keys.form import FIRST_KEY_ID, new_secret
from services.keys.ring import SCOPES, CannotChange, Key, KeyChange, KeyRecord, KeyRing, NewKey

__all__ = [
    "FIRST_KEY_ID",
    "SCOPES",
    "CannotChange",
    "Key",
    "KeyChange",
    "KeyRecord",
    "KeyRing",
    "NewKey",
    "new_secret",
]
