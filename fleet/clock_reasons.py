"""Why a GPU's clocks are what they are: the bits of DCGM_FI_DEV_CLOCKS_EVENT_REASONS, named.

From DCGM's dcgm_fields.h (DCGM_CLOCKS_EVENT_REASON_*), the same bits as NVML's. Some are how a GPU rests or is told to run,
others mean that it is slowed by a fault of cooling or power.
"""

from __future__ import annotations

NAMES = (
    (0x40, "HW thermal"),
    (0x20, "SW thermal"),
    (0x80, "power brake"),
    (0x8, "HW slowdown"),
    (0x4, "power cap"),
    (0x10, "sync boost"),
    (0x2, "clocks set"),
    (0x100, "display clocks"),
    (0x1, "idle"),
)
"""Each bit with its name, the gravest first."""

SLOWED = 0xE8
"""Bits that are a fault: hardware slowdown, software and hardware thermal slowdown, power brake."""


def named(reasons: int) -> tuple[str, ...]:
    """The reasons that are set, the gravest first; bits nobody named as `bit 0x200`. Empty: none, at full clocks."""
    known = [name for bit, name in NAMES if reasons & bit]
    rest = reasons & ~sum(bit for bit, _ in NAMES)
    return (*known, *(f"bit {rest:#x}" for rest in (rest,) if rest))


def is_slowed(reasons: int) -> bool:
    """Whether heat or a lack of power holds the clocks down."""
    return bool(reasons & SLOWED)
