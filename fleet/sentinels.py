"""Tells a reading from a hole: DCGM writes "no value" as huge numbers, and now and then a number that can't be.

The blanks are those of dcgm_structs.h (int64, double and int32, each with not-found, not-supported and not-permitted
beside it); int64 blanks pass through a double and lose their last digits, so everything from 9.2e18 up is one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

INT64_BLANK_FROM = 9.2e18
FLOAT_BLANK = 140_737_488_355_328.0
INT32_BLANK = 2_147_483_632
_BLANK_KINDS = 4

GPU_UTIL = "DCGM_FI_DEV_GPU_UTIL"
GPU_TEMP = "DCGM_FI_DEV_GPU_TEMP"
MEMORY_TEMP = "DCGM_FI_DEV_MEMORY_TEMP"
POWER_USAGE = "DCGM_FI_DEV_POWER_USAGE"
FB_USED = "DCGM_FI_DEV_FB_USED"
FB_FREE = "DCGM_FI_DEV_FB_FREE"
FB_RESERVED = "DCGM_FI_DEV_FB_RESERVED"
FB_TOTAL = "DCGM_FI_DEV_FB_TOTAL"
SM_CLOCK = "DCGM_FI_DEV_SM_CLOCK"
MEM_CLOCK = "DCGM_FI_DEV_MEM_CLOCK"
XID_ERRORS = "DCGM_FI_DEV_XID_ERRORS"
PCIE_REPLAYS = "DCGM_FI_DEV_PCIE_REPLAY_COUNTER"
REMAPPED_UNCORRECTABLE = "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"
REMAPPED_CORRECTABLE = "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS"
ROW_REMAP_FAILURE = "DCGM_FI_DEV_ROW_REMAP_FAILURE"
ECC_DBE_VOLATILE = "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"
TENSOR_ACTIVE = "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"

_MEMORY_MIB = (0.0, 16_777_216.0)
_COUNT = (0.0, 1e12)

PLAUSIBLE: Mapping[str, tuple[float, float]] = {
    GPU_UTIL: (0, 100),
    GPU_TEMP: (1, 150),  # a GPU that has no sensor says 0
    MEMORY_TEMP: (1, 150),
    POWER_USAGE: (0, 5_000),
    FB_USED: _MEMORY_MIB,
    FB_FREE: _MEMORY_MIB,
    FB_RESERVED: _MEMORY_MIB,
    FB_TOTAL: (1, 16_777_216),
    SM_CLOCK: (0, 20_000),
    MEM_CLOCK: (0, 20_000),
    XID_ERRORS: (0, 9_999),
    PCIE_REPLAYS: _COUNT,
    REMAPPED_UNCORRECTABLE: (0, 1e6),
    REMAPPED_CORRECTABLE: (0, 1e6),
    ROW_REMAP_FAILURE: (0, 1_000),
    ECC_DBE_VOLATILE: _COUNT,
    TENSOR_ACTIVE: (0, 1.01),
}
"""Lowest and highest believable value of each metric we read, in the metric's own unit, both included."""


def is_blank(value: float) -> bool:
    """Whether DCGM means "no value" by it."""
    return (
        value >= INT64_BLANK_FROM
        or 0 <= value - FLOAT_BLANK < _BLANK_KINDS
        or 0 <= value - INT32_BLANK < _BLANK_KINDS
    )


def reading(metric: str, value: float) -> float | None:
    """The value, or None where it is not a number, blank, or beyond what `metric` can be. Any other metric: finite is enough."""
    if not math.isfinite(value) or is_blank(value):
        return None
    low, high = PLAUSIBLE.get(metric, (-math.inf, math.inf))
    return value if low <= value <= high else None
