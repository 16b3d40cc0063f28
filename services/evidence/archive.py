"""Packs a zip file of which every byte is determined by the names and the contents of its members.

Nothing is compressed and every field of every header has one value, so a file is either the one that its members make
or it was altered. Any unzip program opens it.
"""

import struct
from collections.abc import Mapping
from zlib import crc32

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION = 20
_STORED = 0
_MIDNIGHT = 0
_FIRST_OF_1980 = 0x0021
_SIZE_LIMIT_BYTES = 2**32 - 1
_MEMBERS_LIMIT = 2**16 - 1


class NotAnArchive(ValueError):
    """The bytes are not the archive that `pack` makes of their members; the text names the first difference."""


def pack(members: Mapping[str, bytes]) -> bytes:
    """Pack members, in their order, into an archive. Raises ValueError where they are too many or too large for one."""
    if len(members) > _MEMBERS_LIMIT or sum(map(len, members.values())) > _SIZE_LIMIT_BYTES // 2:
        raise ValueError("more than an archive can hold")
    parts: list[bytes] = []
    directory: list[bytes] = []
    offset = 0
    for name, content in members.items():
        encoded = name.encode("ascii")
        facts = (_STORED, _MIDNIGHT, _FIRST_OF_1980, crc32(content), len(content), len(content), len(encoded))
        directory.append(_CENTRAL.pack(b"PK\x01\x02", _VERSION, _VERSION, 0, *facts, 0, 0, 0, 0, 0, offset) + encoded)
        parts += [_LOCAL.pack(b"PK\x03\x04", _VERSION, 0, *facts, 0), encoded, content]
        offset += _LOCAL.size + len(encoded) + len(content)
    size = sum(map(len, directory))
    end = _END.pack(b"PK\x05\x06", 0, 0, len(directory), len(directory), size, offset, 0)
    return b"".join([*parts, *directory, end])


def unpack(archive: bytes, *, members_max: int = _MEMBERS_LIMIT) -> dict[str, bytes]:
    """Read the members, in their order. Raises NotAnArchive for any file that `pack` would not have made of them.

    More members than `members_max` are not read.
    """
    members: dict[str, bytes] = {}
    offset = 0
    while archive[offset : offset + 4] == b"PK\x03\x04":
        try:
            *_, size, name_length, _ = _LOCAL.unpack_from(archive, offset)
            begin = offset + _LOCAL.size + name_length
            name = archive[offset + _LOCAL.size : begin].decode("ascii")
        except (struct.error, UnicodeDecodeError):
            raise NotAnArchive(f"byte {offset} begins no member") from None
        if len(members) == members_max:
            raise NotAnArchive(f"there are more than {members_max} members")
        if name in members:
            raise NotAnArchive(f"there are two members {name!r}")
        members[name] = archive[begin : begin + size]
        offset = begin + size
    expected = pack(members)
    if archive != expected:
        raise NotAnArchive(f"byte {_first_difference(archive, expected)} is not what the members make it")
    return members


def _first_difference(actual: bytes, expected: bytes) -> int:
    same, differing = 0, min(len(actual), len(expected))
    while same < differing:
        middle = (same + differing) // 2
        if actual[same : middle + 1] == expected[same : middle + 1]:
            same = middle + 1
        else:
            differing = middle
    return same
