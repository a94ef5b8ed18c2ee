"""Blank and impossible readings are unknown, never numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.sentinels import (
    ECC_DBE_VOLATILE,
    GPU_TEMP,
    GPU_UTIL,
    PLAUSIBLE,
    POWER_USAGE,
    TENSOR_ACTIVE,
    XID_ERRORS,
    reading,
)


@pytest.mark.parametrize("metric", [*PLAUSIBLE, "DCGM_FI_DEV_SOMETHING_NEW"])
@pytest.mark.parametrize(
    "blank",
    [
        9223372036854775792,
        9223372036854775793,
        9223372036854775794,
        9223372036854775795,
        9223372036854776000.0,
        140737488355328.0,
        140737488355331.0,
        2147483632,
        2147483635,
        math.nan,
        math.inf,
        -math.inf,
    ],
)
def test_a_blank_is_unknown_whatever_the_metric(metric: str, blank: float) -> None:
    assert reading(metric, blank) is None


@pytest.mark.parametrize("corrupt", [808334905, 4294967295, 686103, 127622, 1980, 101, -1])
def test_a_utilisation_that_can_not_be_is_unknown(corrupt: float) -> None:
    assert reading(GPU_UTIL, corrupt) is None


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (GPU_UTIL, 0),
        (GPU_UTIL, 100),
        (GPU_TEMP, 32),
        (POWER_USAGE, 699.7),
        (XID_ERRORS, 0),
        (TENSOR_ACTIVE, 1.0),
    ],
)
def test_a_reading_is_kept_as_it_is(metric: str, value: float) -> None:
    assert reading(metric, value) == value


def test_a_gpu_without_a_sensor_is_not_freezing() -> None:
    assert reading(GPU_TEMP, 0) is None


def test_a_metric_without_a_range_needs_only_to_be_a_number() -> None:
    assert reading("DCGM_FI_DEV_SOMETHING_NEW", -5e9) == -5e9


@given(st.sampled_from(sorted(PLAUSIBLE)), st.floats(allow_nan=True, allow_infinity=True))
def test_what_is_read_is_within_its_range(metric: str, value: float) -> None:
    low, high = PLAUSIBLE[metric]
    kept = reading(metric, value)
    assert kept is None or low <= kept <= high


def test_a_count_next_to_the_blank_of_32_bits_is_a_count() -> None:
    assert reading(ECC_DBE_VOLATILE, 2147483636) == 2147483636
