"""Reads, makes and uses the Ed25519 keys that sign checkpoints.

They lie in files outside the database, which only their owner can read.

A key id is the SHA-256 of the 32-byte public key, in hexadecimal. The file is PKCS #8 in PEM, as `openssl genpkey
-algorithm ed25519` writes it.
"""

from hashlib import sha256
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from services.process.files import write_private_file


class NoSigningKey(RuntimeError):
    """The file holds no Ed25519 private key."""


def key_id_of(public_key: bytes) -> str:
    """The id of a public key: 64 hexadecimal digits."""
    return sha256(public_key).hexdigest()


def is_signed(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether the holder of the key signed the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class SigningKey:
    """An Ed25519 private key; `public_key` has the 32 bytes of its public key."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_key = private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def key_id(self) -> str:
        """The id of its public key, 64 hexadecimal digits."""
        return key_id_of(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """The signature of a message, 64 bytes."""
        return self._private_key.sign(message)

    @classmethod
    def generate(cls) -> Self:
        """A new key, from the system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> Self:
        """The key of a file. Raises NoSigningKey, OSError."""
        text = path.read_bytes()
        try:
            private_key = load_pem_private_key(text, password=None)
        except (ValueError, TypeError) as error:
            raise NoSigningKey(f"{path} holds no private key in PEM: {error}") from None
        if not isinstance(private_key, Ed25519PrivateKey):
            raise NoSigningKey(f"{path} holds a key of another kind than Ed25519")
        return cls(private_key)

    def write(self, path: Path) -> None:
        """Write the key to a new file, whole or not at all. Raises FileExistsError, so that no key is ever lost."""
        text = self._private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private_file(path, text, may_replace=False)
