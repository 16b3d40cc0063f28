"""The form of a key: `tsk_<id>_<secret><checksum>`, letters and digits only, so that a double click takes all of it.

The secret is 32 characters at random, 190 bits. The checksum, 6 more, is the CRC-32 of all before it: a scanner of
published code knows a real key from what only looks like one, and the service a mistyped one, without a look-up.
"""

import base64
import re
import secrets
import string
import zlib
from hashlib import sha256

FIRST_KEY_ID = "bootstrap"
"""The id of the key of first start, which has every scope."""

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_CHARACTERS = 32
_CHECKSUM_CHARACTERS = 6
_KEY = re.compile(rf"(tsk_[a-z0-9]+_[0-9A-Za-z]{{{_SECRET_CHARACTERS}}})([0-9A-Za-z]{{{_CHECKSUM_CHARACTERS}}})")


def new_key_id() -> str:
    """Make an id at random: 8 lower-case letters and digits."""
    return base64.b32encode(secrets.token_bytes(5)).decode().lower()


def new_secret(key_id: str) -> str:
    """Make a key at random with this id."""
    text = f"tsk_{key_id}_{''.join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARACTERS))}"
    return text + _checksum(text)


def is_mistyped(secret: str) -> bool:
    """Whether this has the form of a key, and a checksum that does not fit."""
    match = _KEY.fullmatch(secret)
    return match is not None and match[2] != _checksum(match[1])


def hash_of(secret: str) -> bytes:
    """Return what is stored of a key.

    A key of this form is hashed without its first four characters. Versions that know nothing of expiry and confinement
    hash all of it: beside this one, as while it is deployed, they do not find such a key, and refuse it.
    """
    return sha256(secret.removeprefix("tsk_").encode()).digest()


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
