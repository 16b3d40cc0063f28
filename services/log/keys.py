"""Verifier keys of signed notes, and what signs with the private key to one (C2SP `signed-note`)."""

from base64 import b64encode
from binascii import Error as BadBase64
from binascii import a2b_base64
from collections.abc import Callable
from enum import IntEnum
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

KEY_BYTES = 32
SIGNATURE_BYTES = 64
_KEY_ID_BYTES = 4


class BadKey(ValueError):
    """The text is no verifier key of a kind that is known here."""


class KeyKind(IntEnum):
    """The kinds of signatures that are known here, by their signature type byte."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


class VerifierKey(Struct, frozen=True):
    """A public key with its name, which is written as a vkey: `NAME+ID+BASE64`."""

    name: str
    public_key: bytes
    kind: KeyKind = KeyKind.ED25519

    def __post_init__(self) -> None:
        if not is_key_name(self.name):
            raise BadKey(f"{self.name!r} is no name of a key")
        if len(self.public_key) != KEY_BYTES:
            raise BadKey(f"a public key of {len(self.public_key)} bytes")

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """The key of a vkey. Raises BadKey."""
        name, first_plus, rest = vkey.partition("+")
        key_id, second_plus, encoded = rest.partition("+")
        if not (first_plus and second_plus):
            raise BadKey(f"{vkey!r} is no vkey: NAME+ID+BASE64")
        try:
            material = decode_base64(encoded)
        except ValueError as error:
            raise BadKey(f"{vkey!r} is no vkey: {error}") from None
        if material[:1] not in {bytes([kind]) for kind in KeyKind}:
            raise BadKey(f"{vkey!r} is of a kind that is not known here")
        key = cls(name, material[1:], KeyKind(material[0]))
        if key_id != key.key_id.hex():
            raise BadKey(f"{vkey!r} has the id {key_id}, but its key and name have {key.key_id.hex()}")
        return key

    @property
    def key_id(self) -> bytes:
        """The four bytes that name the key in a signature, beside its name."""
        return sha256(self.name.encode() + b"\n" + self._material).digest()[:_KEY_ID_BYTES]

    @property
    def _material(self) -> bytes:
        return bytes([self.kind]) + self.public_key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64encode(self._material).decode()}"

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the Ed25519 signature of the message is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer(Struct, frozen=True):
    """A verifier key, and the function that signs with the private key to it: a message to 64 bytes."""

    key: VerifierKey
    sign: Callable[[bytes], bytes]


def is_key_name(name: str) -> bool:
    """Whether a key may have the name: not empty, without spaces, control characters (below U+0020) and plus."""
    return bool(name) and not any(each.isspace() or each == "+" or each < " " for each in name)


def decode_base64(text: str) -> bytes:
    """The bytes of standard base64 in its one canonical form. Raises ValueError."""
    try:
        content = a2b_base64(text, strict_mode=True)
    except (BadBase64, ValueError) as error:
        raise ValueError(f"no base64: {error}") from None
    if b64encode(content).decode() != text:
        raise ValueError("no base64 in its canonical form")
    return content
