"""An archive is the one sequence of bytes that its members make."""

import io
import zipfile
from random import Random

import pytest

from services.evidence.archive import NotAnArchive, pack, unpack

MEMBERS = {"README.txt": b"Read me.\n", "empty": b"", "data.json": b'{"a":1}'}


def test_what_was_packed_is_unpacked_in_its_order() -> None:
    assert list(unpack(pack(MEMBERS)).items()) == list(MEMBERS.items())
    assert unpack(pack({})) == {}


def test_any_unzip_program_reads_it() -> None:
    with zipfile.ZipFile(io.BytesIO(pack(MEMBERS))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == MEMBERS


def test_every_bit_counts() -> None:
    archive = pack(MEMBERS)
    accepted = {}
    for place in range(len(archive)):
        for bit in range(8):
            altered = bytearray(archive)
            altered[place] ^= 1 << bit
            try:
                accepted[place] = unpack(bytes(altered))
            except NotAnArchive:
                continue
    assert accepted == {}


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda archive: archive + b"\n", "byte"),
        (lambda archive: b"\n" + archive, "byte 0"),
        (lambda archive: archive[:-1], "byte"),
        (lambda archive: archive[:10], "begins no member"),
        (lambda archive: b"", "byte 0"),
        (lambda archive: archive + archive, "byte"),
        (lambda archive: pack({"a": b""})[:31] * 2 + archive, "two members"),
    ],
)
def test_an_archive_with_anything_else_is_refused(alter: object, message: str) -> None:
    assert callable(alter)
    with pytest.raises(NotAnArchive, match=message):
        unpack(alter(pack(MEMBERS)))


def test_an_archive_that_another_program_wrote_is_refused() -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("README.txt", "Read me.\n")

    with pytest.raises(NotAnArchive):
        unpack(written.getvalue())


def test_noise_is_refused() -> None:
    random = Random(1)
    for size in range(0, 400, 7):
        with pytest.raises(NotAnArchive):
            unpack(b"PK\x03\x04" + random.randbytes(size))
