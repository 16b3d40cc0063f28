"""Notes and keys are those of C2SP signed-note: its examples, Go's vectors, and every way in which Go refuses."""

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.log.checkpoint import Checkpoint
from services.log.cosignature import cosign, cosigned_at
from services.log.keys import BadKey, KeyKind, Signer, VerifierKey
from services.log.note import BadNote, Note, Signature, UnverifiedNote, sign_note
from tests.unit.log.signers import signer, witness

# From C2SP signed-note.md.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
# From golang.org/x/mod/sumdb/note.
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
# From transparency-dev/formats.
COSIGNER = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
COSIGNATURE = "ZGhGuQAAAABm/qTPeyKXD+R2rzyQsxPiP8mXum7qq/iF0u4vanlqJyocWODBt97w9uL+8qT7S5gxEHWWOworDcFiEBYJXORmnFBOBA=="


def keys(*vkeys: str) -> list[VerifierKey]:
    return [VerifierKey.parse(vkey) for vkey in vkeys]


def test_the_example_of_the_specification_verifies() -> None:
    note = Note.parse(EXAMPLE_NOTE)
    assert note.verified_by(keys(EXAMPLE_KEY)) == keys(EXAMPLE_KEY)
    assert note.text == "This is an example message.\n"
    assert str(note) == EXAMPLE_NOTE


def test_go_s_note_is_signed_and_verified_alike() -> None:
    private_key = Ed25519PrivateKey.from_private_bytes(PETER_SEED)
    key = VerifierKey("PeterNeumann", private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    assert str(key) == PETER
    assert str(sign_note(TEXT, [Signer(key, private_key.sign)])) == TEXT + "\n" + PETER_LINE


@pytest.mark.parametrize("vkey", [PETER, ENOCH, EXAMPLE_KEY, COSIGNER])
def test_a_vkey_is_read_and_written(vkey: str) -> None:
    assert str(VerifierKey.parse(vkey)) == vkey


@pytest.mark.parametrize("vkey", [PETER, COSIGNER])
def test_no_part_and_no_change_of_a_vkey_is_one(vkey: str) -> None:
    parts = [vkey[begin:end] for begin in range(len(vkey)) for end in range(begin + 1, len(vkey) + 1)]
    changed = [vkey[:at] + chr(ord(vkey[at]) + 1) + vkey[at + 1 :] for at in range(len(vkey))]
    for bad in [*(part for part in parts if part != vkey), *changed]:
        with pytest.raises(BadKey):
            VerifierKey.parse(bad)


@pytest.mark.parametrize(
    "vkey",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "bananas.sigstore.dev+12344556",
        "rekor.sigstore.dev+12345678+THIS_IS_NOT_BASE64!",
        "rekor.sigstore.dev+12345678+AwEB",
        PETER.replace("c74f20a3", "C74F20A3"),
        PETER.replace("PeterNeumann", "Peter Neumann"),
        "",
    ],
)
def test_what_others_refuse_is_no_vkey(vkey: str) -> None:
    with pytest.raises(BadKey):
        VerifierKey.parse(vkey)


def test_lines_of_unknown_keys_are_ignored_and_so_are_second_lines() -> None:
    note = Note.parse(TEXT + "\n" + PETER_LINE + PETER_LINE + ENOCH_LINE)
    assert note.verified_by(keys(PETER)) == keys(PETER)
    assert note.verified_by(keys(ENOCH, PETER)) == keys(PETER, ENOCH)
    with pytest.raises(UnverifiedNote, match="no key that is trusted"):
        note.verified_by(keys(EXAMPLE_KEY))
    with pytest.raises(UnverifiedNote, match="no key that is trusted"):
        note.verified_by([])


def test_a_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    good = Signature.parse(PETER_LINE.rstrip("\n"))
    wrong = Signature(good.name, good.key_id, bytes(64)).line
    note = Note.parse(TEXT + "\n" + ENOCH_LINE + wrong)
    with pytest.raises(UnverifiedNote, match="PeterNeumann"):
        note.verified_by(keys(ENOCH, PETER))
    assert note.verified_by(keys(ENOCH)) == keys(ENOCH)


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT + "\n",
        TEXT + "\n" + PETER_LINE[:-1],
        "\x01" + TEXT + "\n" + PETER_LINE,
        TEXT + "\r\n" + PETER_LINE,
        TEXT + "\n" + PETER_LINE.replace("PeterNeumann", "Bad Name"),
        TEXT + "\n" + PETER_LINE.replace("PeterNeumann", "Bad+Name"),
        TEXT + "\n" + PETER_LINE + "Unexpected line.\n",
        TEXT + "\n" + PETER_LINE.replace("AM=", "AN="),  # the same bytes, in base64 that is not canonical
        TEXT + "\n" + PETER_LINE.replace("—", "-"),
        TEXT + "\n— PeterNeumann x08gow==\n",
        TEXT + "\n" + PETER_LINE * 101,
        b"\xff" + (TEXT + "\n" + PETER_LINE).encode(),
        "",
    ],
)
def test_what_is_malformed_is_no_note(content: str | bytes) -> None:
    with pytest.raises(BadNote):
        Note.parse(content)


def test_16_signatures_are_accepted_and_the_text_may_have_empty_lines() -> None:
    note = sign_note("one\n\ntwo\n", [signer(f"log.example/{number}", str(number)) for number in range(16)])
    assert Note.parse(str(note)) == note
    assert note.text == "one\n\ntwo\n"


def test_no_byte_of_a_note_can_change() -> None:
    content = (TEXT + "\n" + PETER_LINE).encode()
    for at in range(len(content)):
        with pytest.raises((BadNote, UnverifiedNote)):
            Note.parse(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]).verified_by(keys(PETER))


def test_a_published_cosignature_has_its_time() -> None:
    assert cosigned_at(b64decode(COSIGNATURE)[4:]) == 1_727_964_367
    assert cosigned_at(bytes(64)) is None
    assert cosigned_at(bytes(72)) is None  # the time may not be left out
    assert cosigned_at(b"\xff" * 72) is None


def test_a_cosignature_covers_the_time_and_every_line_of_the_checkpoint() -> None:
    log, cosigner = signer("log.example/1"), witness()
    checkpoint = Checkpoint("log.example/1", 1, bytes(32), ("an extension",))
    note = checkpoint.signed_by(log)
    made = cosign(note.text, 1_679_315_147, cosigner)
    line = Signature(cosigner.key.name, cosigner.key.key_id, made)

    assert note.with_signatures([line]).verified_by([log.key, cosigner.key]) == [log.key, cosigner.key]
    later = Signature(line.name, line.key_id, made[:7] + bytes([made[7] ^ 1]) + made[8:])
    with pytest.raises(UnverifiedNote):
        note.with_signatures([later]).verified_by([cosigner.key])
    with pytest.raises(UnverifiedNote):
        Note(note.text.replace("an extension", "another"), (line,)).verified_by([cosigner.key])


def test_the_message_that_is_cosigned_is_that_of_the_specification() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    messages: list[bytes] = []

    def sign(message: bytes) -> bytes:
        messages.append(message)
        return bytes(64)

    cosign(text, 1_679_315_147, Signer(VerifierKey("w", bytes(32), KeyKind.COSIGNATURE_V1), sign))
    assert messages == [b"cosignature/v1\ntime 1679315147\n" + text.encode()]
