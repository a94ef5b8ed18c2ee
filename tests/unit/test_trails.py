"""What was read is remembered for an hour, in little memory, and what was not read is a gap."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from fleet.history import SPANS, Metric, means
from fleet.node import NodeKey
from fleet.telemetry import GpuTelemetry, NodeTelemetry
from fleet.trails import KEPT, STEP, Trails, name_of, util_of
from tests.clocks import START

KEY = NodeKey("lab", "gpu-1")


def noted(trails: Trails, turn: int, util: float | None) -> None:
    at = START + turn * STEP
    told = NodeTelemetry(at, gpu_util=util, gpu_temp_max=60.0 + turn, power_watts=4000.0, fb_used_ratio=0.5)
    trails.note(KEY, told, at)


def test_readings_come_back_oldest_first() -> None:
    trails = Trails()
    for turn, util in enumerate((10, 20, 30.5)):
        noted(trails, turn, util)
    assert trails.recent(KEY, Metric.UTIL, 4) == [None, 10, 20, 30.5]
    assert trails.recent(KEY, Metric.TEMP, 2) == [61, 62]
    assert trails.recent(KEY, Metric.POWER, 1) == [4000]
    assert trails.recent(KEY, Metric.MEMORY, 1) == [50]


def test_a_step_without_a_reading_is_a_gap_and_not_a_zero() -> None:
    trails = Trails()
    noted(trails, 0, 50)
    noted(trails, 3, 70)
    assert trails.recent(KEY, Metric.UTIL, 4) == [50, None, None, 70]


def test_a_node_that_fell_silent_ends_in_a_gap() -> None:
    trails = Trails()
    noted(trails, 0, 50)
    trails.note(KEY, None, START + 2 * STEP)
    assert trails.recent(KEY, Metric.UTIL, 3) == [50, None, None]


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_no_number_is_a_gap(value: float | None) -> None:
    trails = Trails()
    noted(trails, 0, value)
    assert trails.recent(KEY, Metric.UTIL, 1) == [None]


def test_a_ring_goes_round_without_mixing_old_and_new() -> None:
    trails = Trails()
    for turn in range(KEPT + 7):
        noted(trails, turn, turn % 100)
    assert trails.recent(KEY, Metric.UTIL, KEPT) == [turn % 100 for turn in range(7, KEPT + 7)]


def test_a_silence_longer_than_the_ring_leaves_nothing_of_the_past() -> None:
    trails = Trails()
    noted(trails, 0, 10)
    noted(trails, 3 * KEPT, 20)
    assert trails.recent(KEY, Metric.UTIL, KEPT)[:-1] == [None] * (KEPT - 1)


def test_a_reading_told_again_later_counts_for_when_it_was_sampled() -> None:
    trails = Trails()
    noted(trails, 0, 50)
    trails.note(KEY, NodeTelemetry(START, gpu_util=50), START + 3 * STEP)
    assert trails.recent(KEY, Metric.UTIL, 4) == [50, None, None, None]


def test_a_reading_older_than_the_ring_is_left_out() -> None:
    trails = Trails()
    noted(trails, 2 * KEPT, 50)
    noted(trails, 0, 10)
    assert trails.recent(KEY, Metric.UTIL, KEPT) == [None] * (KEPT - 1) + [50]


def test_a_node_of_eight_gpus_takes_about_a_kilobyte() -> None:
    trails = Trails()
    noted(trails, 0, 50)
    assert trails._nodes[KEY].values.buffer_info()[1] * 2 <= 1024


def test_nodes_that_are_gone_are_forgotten() -> None:
    trails = Trails()
    noted(trails, 0, 50)
    trails.note_gpus(KEY, (GpuTelemetry("0", util=1),), START)
    trails.keep(())
    assert (len(trails), trails.recent(KEY, Metric.UTIL, 1), trails.gpus(KEY, Metric.UTIL, 1)) == (0, [], {})


def test_gpus_of_the_nodes_looked_at_last_are_kept() -> None:
    trails = Trails()
    for number in range(70):
        trails.note_gpus(NodeKey("lab", str(number)), (GpuTelemetry("0", util=number),), START)
    assert trails.gpus(NodeKey("lab", "0"), Metric.UTIL, 1) == {}
    assert trails.gpus(NodeKey("lab", "69"), Metric.UTIL, 1) == {"0": [69]}


def test_a_mig_instance_is_named_under_its_gpu_and_told_by_its_engine() -> None:
    row = GpuTelemetry("3", instance="7", engine_active=0.25)
    assert (name_of(row), util_of(row)) == ("3.7", 25)


def test_a_history_says_since_when_it_is_kept() -> None:
    trails = Trails()
    noted(trails, 0, 50)
    noted(trails, 1, 60)
    told = trails.history(KEY, SPANS[2], START + STEP)
    assert (told.since, told.span.length) == (START, timedelta(hours=1))
    (line,) = told.of(Metric.UTIL)
    assert (line.values[-2:], line.last, bool(told)) == ((50, 60), 60, True)


def test_a_node_never_read_has_no_history() -> None:
    assert not Trails().history(KEY, SPANS[0], START)


def test_neighbours_come_together_as_their_mean_and_gaps_stay_gaps() -> None:
    assert means([1, 3, None, None, None, 7], 3) == [2, None, 7]
    assert means([5], 3) == [None, None, 5]


def test_a_gpu_that_a_reboot_gives_another_number_keeps_its_own_past() -> None:
    trails = Trails()
    trails.note_gpus(KEY, (GpuTelemetry("0", "a", util=10), GpuTelemetry("1", "b", util=20)), START)
    later = START + STEP
    trails.note_gpus(KEY, (GpuTelemetry("1", "a", util=11), GpuTelemetry("0", "b", util=21)), later)
    assert trails.gpus(KEY, Metric.UTIL, 2) == {"a": [10, 11], "b": [20, 21]}
