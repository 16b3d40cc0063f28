"""Random numbers that can be had again: the seed is printed, and taken from `TALLYSTICK_SEED` where that is set."""

import os
from random import Random, SystemRandom


def seeded(purpose: str) -> Random:
    """Random numbers for a purpose."""
    seed = int(os.environ.get("TALLYSTICK_SEED") or SystemRandom().getrandbits(32))
    print(f"{purpose}: TALLYSTICK_SEED={seed}")
    return Random(f"{seed} {purpose}")
