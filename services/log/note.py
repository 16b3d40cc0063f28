"""Signed notes (C2SP `signed-note`): a text, an empty line, and a line for each signature."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from services.log.cosignature import signed_bytes_of
from services.log.keys import SIGNATURE_BYTES, KeyKind, Signer, VerifierKey, decode_base64, is_key_name

NOTE_BYTES_LIMIT = 1_000_000
SIGNATURES_LIMIT = 100
_KEY_ID_BYTES = 4
_DASH = "— "


class BadNote(ValueError):
    """The text is no signed note."""


class UnverifiedNote(ValueError):
    """No key that is trusted has signed the note, or a signature by one of them is wrong."""


class Signature(Struct, frozen=True):
    """A line below a note: the key's name and id, and what the key made, whose form depends on its kind."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line, with its newline."""
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.signature).decode()}\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """The signature of a line without its newline. Raises BadNote."""
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        if not (line.startswith(_DASH) and space and is_key_name(name)):
            raise BadNote(f"no signature line: {line!r}")
        try:
            content = decode_base64(encoded)
        except ValueError as error:
            raise BadNote(f"the signature of {name}: {error}") from None
        if len(content) <= _KEY_ID_BYTES:
            raise BadNote(f"the signature of {name} is cut short")
        return cls(name, content[:_KEY_ID_BYTES], content[_KEY_ID_BYTES:])

    def is_named_by(self, key: VerifierKey) -> bool:
        """Whether the line says that the key made it."""
        return (self.name, self.key_id) == (key.name, key.key_id)


class Note(Struct, frozen=True):
    """A text, which ends in a newline, with its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, content: bytes | str) -> Self:
        """The note that the content is. Raises BadNote."""
        try:
            whole = content if isinstance(content, str) else content.decode()
            size = len(whole.encode())
        except UnicodeError:
            raise BadNote("no signed note: it is no UTF-8") from None
        if size > NOTE_BYTES_LIMIT:
            raise BadNote(f"no signed note: more than {NOTE_BYTES_LIMIT} bytes")
        if any(each < " " and each != "\n" for each in whole):
            raise BadNote("no signed note: it has control characters")
        body, separator, below = whole.rpartition("\n\n")
        if not (separator and below.endswith("\n")):
            raise BadNote("no signed note: it does not end in an empty line and lines of signatures")
        lines = below.removesuffix("\n").split("\n")
        if len(lines) > SIGNATURES_LIMIT:
            raise BadNote(f"no signed note: more than {SIGNATURES_LIMIT} signatures")
        return cls(body + "\n", tuple(Signature.parse(line) for line in lines))

    def __str__(self) -> str:
        return self.text + "\n" + "".join(each.line for each in self.signatures)

    def with_signatures(self, signatures: Iterable[Signature]) -> Self:
        """This note with more signatures below the ones that it has; those that it has are left out."""
        more = [each for each in signatures if each not in self.signatures]
        return replace(self, signatures=(*self.signatures, *more))

    def verified_by(self, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
        """Those of the keys that have signed the note, in the order of its lines.

        Lines of other keys are ignored, and a second line of one key too. Raises UnverifiedNote where a line of one
        of the keys is wrong, or where there is none of any of them.
        """
        known = {(key.name, key.key_id): key for key in keys}
        verified: list[VerifierKey] = []
        for each in self.signatures:
            key = known.get((each.name, each.key_id))
            if key is None or key in verified:
                continue
            if not _is_signed(self.text, each, key):
                raise UnverifiedNote(f"the signature of {each.name} with key {each.key_id.hex()} is wrong")
            verified.append(key)
        if not verified:
            raise UnverifiedNote("no key that is trusted has signed the note")
        return verified

    def is_signed_by(self, key: VerifierKey) -> bool:
        """Whether the key has signed the note."""
        try:
            return bool(self.verified_by([key]))
        except UnverifiedNote:
            return False


def sign_note(text: str, signers: Iterable[Signer]) -> Note:
    """The note of a text, signed by Ed25519 keys in this order. Raises BadNote for a text that no note can have."""
    signatures = []
    for signer in signers:
        assert signer.key.kind is KeyKind.ED25519, "a witness cosigns with `cosign`"
        signatures.append(Signature(signer.key.name, signer.key.key_id, signer.sign(text.encode())))
    return Note.parse(str(Note(text, tuple(signatures))))


def _is_signed(text: str, signature: Signature, key: VerifierKey) -> bool:
    match key.kind:
        case KeyKind.ED25519:
            return len(signature.signature) == SIGNATURE_BYTES and key.has_signed(text.encode(), signature.signature)
        case KeyKind.COSIGNATURE_V1:
            signed = signed_bytes_of(text, signature.signature)
            return signed is not None and key.has_signed(signed, signature.signature[-SIGNATURE_BYTES:])
