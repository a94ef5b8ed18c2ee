"""A GPU is told of as held and idle only when it was seen so all the while."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fleet.gpu_rows import node_from_gpus
from fleet.idle import IDLE_AFTER, IdleWatch, holders, is_idle
from fleet.telemetry import GpuTelemetry, NodeTelemetry
from tests.clocks import START

HELD = GpuTelemetry("0", uuid="GPU-0", util=0, held_by="ml/train-0")
BUSY = GpuTelemetry("1", uuid="GPU-1", util=90, held_by="ml/train-0")
FREE = GpuTelemetry("2", uuid="GPU-2", util=0)


def looked(watch: IdleWatch, after: timedelta, *rows: GpuTelemetry) -> NodeTelemetry:
    now = START + after
    return watch.look({"n": node_from_gpus(rows, now)}, {"n": rows}, now)["n"]


def told(node: NodeTelemetry) -> tuple[int | None, str]:
    return node.idle_held, node.idle_holder


def test_a_gpu_that_was_idle_all_the_while_is_told_with_its_holder() -> None:
    watch = IdleWatch()
    assert told(looked(watch, timedelta(), HELD, BUSY, FREE)) == (0, "")
    assert told(looked(watch, IDLE_AFTER, HELD, BUSY, FREE)) == (1, "ml/train-0")


def test_a_moment_of_work_starts_the_count_anew() -> None:
    watch = IdleWatch()
    looked(watch, timedelta(), HELD)
    looked(watch, IDLE_AFTER / 2, GpuTelemetry("0", uuid="GPU-0", util=70, held_by="ml/train-0"))
    assert told(looked(watch, IDLE_AFTER, HELD)) == (0, "")


def test_another_holder_starts_the_count_anew() -> None:
    watch = IdleWatch()
    looked(watch, timedelta(), HELD)
    assert told(looked(watch, IDLE_AFTER, GpuTelemetry("0", uuid="GPU-0", util=0, held_by="ml/train-1"))) == (
        0,
        "",
    )


def test_a_reading_that_is_missing_starts_the_count_anew() -> None:
    watch = IdleWatch()
    looked(watch, timedelta(), HELD)
    looked(watch, IDLE_AFTER / 2, GpuTelemetry("0", uuid="GPU-0", util=None, held_by="ml/train-0"))
    assert told(looked(watch, IDLE_AFTER, HELD)) == (0, "")


def test_where_no_holder_is_named_nothing_is_known() -> None:
    assert told(looked(IdleWatch(), IDLE_AFTER, FREE)) == (None, "")


@pytest.mark.parametrize(
    ("row", "idle"),
    [
        (GpuTelemetry("0", util=0.5), True),
        (GpuTelemetry("0", util=1), False),
        (GpuTelemetry("0", instance="7", engine_active=0.0), True),
        (GpuTelemetry("0", instance="7", engine_active=0.4), False),
        (GpuTelemetry("0"), None),
    ],
)
def test_a_gpu_that_does_not_tell_is_neither_idle_nor_busy(row: GpuTelemetry, idle: bool | None) -> None:
    assert is_idle(row) is idle


def test_two_holders_are_named_and_the_rest_counted() -> None:
    assert holders({"a": 1, "b": 3, "c": 1, "d": 1}) == "b, a and 2 more"
    assert holders({}) == ""
