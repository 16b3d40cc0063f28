"""Reads, makes and uses the Ed25519 keys that sign checkpoints.

They lie in files outside the database, which only their owner can read.

A key id is the SHA-256 of the 32-byte public key, in hexadecimal. The file is PKCS #8 in PEM, as `openssl genpkey
-algorithm ed25519` writes it.
"""

from contextlib import suppress
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

from services.log.keys import Signer, VerifierKey
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

    def signer(self, name: str) -> Signer:
        """What signs notes with this key under a name."""
        return Signer(VerifierKey(name, self.public_key), self.sign)

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


class KeyFile:
    """The file of the key that signs. A new key lies beside it until a checkpoint names it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next_path = path.with_name(path.name + ".next")

    def read(self) -> SigningKey | None:
        """The key; None where the file does not exist yet. Raises NoSigningKey, OSError."""
        return SigningKey.read(self.path) if self.path.exists() else None

    def key_for(self, key_id: str | None) -> SigningKey:
        """The key of an id, if it is here, else the one that is, which is made at first use.

        Raises NoSigningKey, OSError.
        """
        key = self.read() or self._make()
        if key_id in (None, key.key_id) or not self._next_path.exists():
            return key
        staged = SigningKey.read(self._next_path)
        if staged.key_id == key_id:  # the last hand-over was cut short after its commit
            self.adopt()
            return staged
        return key

    def read_or_make(self) -> SigningKey:
        """The key, which is made at first use. Raises NoSigningKey, OSError."""
        return self.read() or self._make()

    def read_staged(self) -> SigningKey | None:
        """The key that lies beside it for a hand-over; None where there is none. Raises NoSigningKey, OSError."""
        return SigningKey.read(self._next_path) if self._next_path.exists() else None

    def stage(self) -> SigningKey:
        """Make a new key beside the one that signs, for a hand-over, and return it. Raises OSError."""
        self._next_path.unlink(missing_ok=True)
        SigningKey.generate().write(self._next_path)
        return SigningKey.read(self._next_path)

    def adopt(self) -> None:
        """Replace the key that signed by the staged one. The old key is deleted."""
        self._next_path.replace(self.path)

    def _make(self) -> SigningKey:
        with suppress(FileExistsError):  # another process was first
            SigningKey.generate().write(self.path)
        return SigningKey.read(self.path)
