"""Independent random generators, all derived from the one seed of a run.

Who asks says who it is: `generator(seed, "actor", 3, "game", 17)` is always the same stream, and no two
different descriptions share one. So what one part draws never moves another part's numbers.
"""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return the generator for `purpose` (words and non-negative numbers) under `seed` (0 or more)."""
    key = [zlib.crc32(part.encode()) if isinstance(part, str) else int(part) for part in purpose]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=tuple(key))))
