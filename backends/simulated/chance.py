"""Chance that can be told again: every random-looking value is a function of the seed and of what it is about.

A shared random generator would make each value depend on all that were drawn before it, so that one more node moved
every other node's temperature. Nothing here keeps state.
"""

from __future__ import annotations

import math
from hashlib import blake2b

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes draws the ends of generated names from

_VARIANTS = "89ab"


def _digest(seed: int, words: tuple[object, ...], size: int) -> bytes:
    return blake2b("/".join(map(str, (seed, *words))).encode(), digest_size=size).digest()


def fraction(seed: int, *words: object) -> float:
    """A number from 0 up to (not with) 1, the same for the same words."""
    return int.from_bytes(_digest(seed, words, 7), "big") / (1 << 56)


def identity(seed: int, *words: object) -> str:
    """A UUID, the same for the same words."""
    text = _digest(seed, words, 16).hex()
    # Version 4, variant 10: written by hand, since uuid.UUID takes five times as long.
    return (
        f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANTS[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"
    )


def suffix(seed: int, *words: object, length: int = 5) -> str:
    """The generated end of a pod's name, such as `x7k2q`."""
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in _digest(seed, words, length))


def drift(seed: int, at: float, *words: object, period: float = 300.0) -> float:
    """A value between -1 and 1 that wanders slowly with `at` (seconds), once round in about `period` seconds."""
    phase = fraction(seed, "phase", *words) * math.tau
    turn = math.tau * at / period
    return 0.6 * math.sin(turn + phase) + 0.4 * math.sin(2.7 * turn + 2.0 * phase)
