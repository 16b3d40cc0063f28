"""Cosignatures `cosignature/v1` (C2SP `tlog-cosignature`): a witness states what it saw, and when.

A cosignature is eight bytes of time (seconds since 1970, big-endian) and the Ed25519 signature of a message that has
this time and the text of the checkpoint.
"""

from services.log.keys import SIGNATURE_BYTES, KeyKind, Signer

_TIME_BYTES = 8
_TIME_LIMIT = 2**63


def cosign(text: str, at_seconds: int, signer: Signer) -> bytes:
    """The cosignature of a checkpoint's text at an instant, in whole seconds since 1970."""
    assert signer.key.kind is KeyKind.COSIGNATURE_V1, "a log signs with `sign_note`"
    return at_seconds.to_bytes(_TIME_BYTES, "big") + signer.sign(_message(text, at_seconds))


def signed_bytes_of(text: str, cosignature: bytes) -> bytes | None:
    """The message that a cosignature of the text signs; None where the bytes are no cosignature."""
    at_seconds = cosigned_at(cosignature)
    return None if at_seconds is None else _message(text, at_seconds)


def cosigned_at(cosignature: bytes) -> int | None:
    """The time of a cosignature, in seconds since 1970; None where the bytes are no cosignature."""
    at_seconds = int.from_bytes(cosignature[:_TIME_BYTES], "big")
    is_one = len(cosignature) == _TIME_BYTES + SIGNATURE_BYTES and 0 < at_seconds < _TIME_LIMIT
    return at_seconds if is_one else None


def _message(text: str, at_seconds: int) -> bytes:
    return f"cosignature/v1\ntime {at_seconds}\n{text}".encode()
