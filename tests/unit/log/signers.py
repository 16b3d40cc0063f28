"""Keys for tests, made of fixed seeds."""

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.log.keys import KeyKind, Signer, VerifierKey


def signer(name: str, seed: str = "a", kind: KeyKind = KeyKind.ED25519) -> Signer:
    """The signer of a name whose private key is made of a word."""
    private_key = Ed25519PrivateKey.from_private_bytes(sha256(seed.encode()).digest())
    public_key = private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Signer(VerifierKey(name, public_key, kind), private_key.sign)


def witness(name: str = "witness.example/w1") -> Signer:
    """The signer of a witness."""
    return signer(name, name, KeyKind.COSIGNATURE_V1)
