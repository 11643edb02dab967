"""Seeds of random draws, by (seed, stage, step, item)."""

import hashlib

import numpy as np


def derive(seed: int, *parts: str | int) -> int:
    """A 63-bit seed that depends on `seed` and on every part, in order.

    The same parts give the same number on every machine and Python version, and neighbouring
    steps or items give unrelated ones (SHA-256, not arithmetic on the seed).
    """
    text = "\x1f".join([str(seed), *(f"{type(part).__name__}:{part}" for part in parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *parts: str | int) -> np.random.Generator:
    """A NumPy generator seeded by `derive(seed, *parts)`."""
    return np.random.Generator(np.random.PCG64(derive(seed, *parts)))
