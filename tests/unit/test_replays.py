"""PCIe replays are judged by what their counter gained lately; the counter alone clears a GPU, and never faults one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.category import CheckPolicy
from fleet.health import Finding, Verdict, verdict_of
from fleet.replays import gained
from tests.clocks import START
from tests.unit.test_gate import READY
from tests.unit.test_gate_checks import CATEGORY, OLD, Seen, found, gpu, needing, on_node, resending

MINUTE = timedelta(minutes=1)


def samples(*counted: float) -> list[tuple[Any, float]]:
    first = START - (len(counted) - 1) * MINUTE
    return [(first + n * MINUTE, value) for n, value in enumerate(counted)]


@pytest.mark.parametrize(
    ("counted", "gain"),
    [
        ((), None),
        ((7,), None),
        ((900, 900), 0),
        ((900, 903, 910), 10),
        ((900, 0, 2), 2),
        ((900, 3), 3),
        ((5, 900, 1, 1), 896),
    ],
)
def test_a_counter_that_begins_anew_gained_all_that_it_shows(
    counted: Sequence[float], gain: float | None
) -> None:
    assert gained(samples(*counted), OLD) == gain


def test_what_was_before_does_not_count() -> None:
    assert gained(samples(0, 900, 900, 901), START - 2 * MINUTE) == 1


@given(st.lists(st.integers(0, 10**12), max_size=40))
def test_a_gain_is_never_less_than_nothing(counted: list[int]) -> None:
    gain = gained(samples(*counted), OLD - timedelta(hours=2))
    assert gain is None if len(counted) < 2 else gain is not None and gain >= 0


def judged(seen: Seen, limit: float | None = None, *, needed: bool = False) -> Finding:
    rule = CheckPolicy(needed=needed, limit=limit, asked=needed)
    return found("pcie-replays", seen, replace(CATEGORY, checks={"pcie-replays": rule}))


def test_a_link_that_sends_again_all_the_time_warns_and_says_how_often() -> None:
    finding = judged(resending(*range(900, 931)))
    assert (finding.verdict, finding.value) == (Verdict.WARN, "30 replays in 30 min on GPU 1")
    assert finding.threshold == "at most 5 in 30 min"


def test_a_counter_that_rests_passes_however_high_it_is() -> None:
    finding = judged(resending(*[900] * 31))
    assert (finding.verdict, finding.value) == (Verdict.PASS, "0 replays in 30 min")


def test_a_limit_of_the_category_is_of_the_same_30_minutes() -> None:
    assert judged(resending(*range(900, 931)), limit=30).verdict is Verdict.PASS
    assert judged(resending(*range(900, 931)), limit=29).verdict is Verdict.WARN


@pytest.mark.parametrize("seen", [gpu(pcie_replays=900), resending(*[900] * 10), resending(900)])
def test_a_high_counter_whose_past_is_not_known_is_no_fault_and_never_fine(seen: Seen) -> None:
    unasked = judged(seen)
    assert (unasked.verdict, unasked.absent) == (Verdict.UNKNOWN, True)
    assert unasked.value == "900 replays since the driver was loaded, since when is not known on GPU 1"
    assert "Prometheus" in unasked.clears
    limited = judged(seen, limit=5)
    assert (limited.verdict, limited.absent) == (Verdict.UNKNOWN, False)
    assert verdict_of([limited]) is Verdict.WARN
    needed = judged(seen, limit=5, needed=True)
    assert verdict_of([needed]) is Verdict.UNKNOWN
    assert verdict_of([judged(seen, needed=True)]) is Verdict.UNKNOWN


@pytest.mark.parametrize("seen", [gpu(pcie_replays=5), resending(*[0] * 5, 5)])
def test_what_was_counted_since_the_driver_was_loaded_is_the_most_that_there_was_lately(seen: Seen) -> None:
    finding = judged(seen, needed=True)
    assert (finding.verdict, finding.value) == (Verdict.PASS, "5 replays since the driver was loaded")


def test_what_a_short_past_shows_already_is_a_fault() -> None:
    assert judged(resending(900, 950)).verdict is Verdict.WARN


def test_what_was_before_this_boot_is_not_held_against_the_node() -> None:
    booted = replace(READY, since=START - 10 * MINUTE)
    seen = replace(resending(*range(900, 920), *[0] * 11), node=on_node(conditions=(booted,)).node)
    assert judged(seen).verdict is Verdict.PASS
    again = replace(resending(*[0] * 21, *range(10)), node=on_node(conditions=(booted,)).node)
    assert judged(again).verdict is Verdict.WARN


def test_an_old_counter_is_unknown_whatever_the_past_says() -> None:
    seen = replace(resending(*[900] * 31), gpu={"pcie_replays": 900, "at": OLD})
    finding = found("pcie-replays", seen, needing("pcie-replays"))
    assert (finding.verdict, finding.value) == (Verdict.UNKNOWN, "told by 1 of 2 GPUs")
