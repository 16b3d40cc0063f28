"""Reproducible random numbers: the seed is printed, and read from `TALLYSTICK_SEED` where that is set."""

import os
from random import Random, SystemRandom


def seeded(purpose: str) -> Random:
    """Return random numbers for a purpose."""
    seed = int(os.environ.get("TALLYSTICK_SEED") or SystemRandom().getrandbits(32))
    print(f"{purpose}: TALLYSTICK_SEED={seed}")
    return Random(f"{seed} {purpose}")
