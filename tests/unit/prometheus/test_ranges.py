"""Lines of the past: one a GPU, whatever its number was at the time."""

from __future__ import annotations

from datetime import timedelta

from backends.prometheus.answers import Series
from backends.prometheus.ranges import lines_of
from fleet.history import Metric, Span
from tests.clocks import START

SPAN = Span("1 min", timedelta(seconds=60), timedelta(seconds=15))


def series(*values: float, ago: int, **labels: str) -> Series:
    """Samples 15 s apart, the last of them `ago` steps before the end."""
    last = START.timestamp() - 15 * ago
    times = [last - 15 * (len(values) - 1 - place) for place in range(len(values))]
    return Series(labels, [(at, str(value)) for at, value in zip(times, values, strict=True)])


def lines(*found: Series) -> dict[str, tuple[float | None, ...]]:
    return {line.name: line.values for line in lines_of(Metric.UTIL, found, START, SPAN)}


def test_a_gpu_keeps_its_past_through_a_reboot_that_swaps_numbers() -> None:
    assert lines(
        series(10, 11, ago=2, gpu="0", UUID="a"),
        series(20, 21, ago=2, gpu="1", UUID="b"),
        series(22, 23, ago=0, gpu="0", UUID="b"),
        series(12, 13, ago=0, gpu="1", UUID="a"),
    ) == {"0": (20, 21, 22, 23), "1": (10, 11, 12, 13)}


def test_a_gpu_that_was_replaced_leaves_its_past_under_its_number() -> None:
    assert lines(series(10, 11, 99, ago=1, gpu="0", UUID="a"), series(20, 21, ago=0, gpu="0", UUID="b")) == {
        "0": (10, 11, 20, 21)
    }


def test_a_label_of_another_name_is_the_same_gpu() -> None:
    assert lines(series(10, 11, ago=2, gpu="3", UUID="a"), series(12, 13, ago=0, uuid="a")) == {
        "3": (10, 11, 12, 13)
    }


def test_what_is_recorded_of_a_node_is_one_line() -> None:
    assert lines(series(10, 11, ago=0)) == {"mean": (None, None, 10, 11)}
