"""Alters bytes as somebody who cannot sign would."""

from random import Random


def mutant_of(content: bytes, place: int, random: Random) -> bytes:
    """Alter, add, remove, move or cut off bytes at a place."""
    before, after = content[:place], content[place:]
    match random.randrange(8):
        case 0 | 1:
            return before + bytes([after[0] ^ (1 << random.randrange(8))]) + after[1:]
        case 2:
            return before + random.randbytes(1) + after[1:]
        case 3:
            return before + random.randbytes(random.randint(1, 40)) + after
        case 4:
            return before + after[random.randint(1, 40) :]
        case 5:
            return before
        case 6:
            size = random.randint(1, 40)
            return before + after[size : 2 * size] + after[:size] + after[2 * size :]
        case _:
            other = random.randrange(len(content))
            return content[:other] + after[:1] + content[other + 1 :]  # may be the same byte
