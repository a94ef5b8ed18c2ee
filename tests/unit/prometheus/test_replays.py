"""The replay counters of one node's GPUs over the last half hour, whichever series told them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from backends.prometheus.answers import Series
from backends.prometheus.queries import Shape
from backends.prometheus.replays import counted, of_host
from fleet.joining import NodeNames
from fleet.node import NodeKey
from fleet.replays import gained
from tests.clocks import START

NODES = NodeNames([NodeKey("lab", "gpu-1"), NodeKey("lab", "gpu-2")])
SHAPE = Shape(("Hostname",))
LONG_AGO = START - timedelta(days=1)


def series(*values: object, first: int = 0, host: str = "gpu-1", **labels: str) -> Series:
    at = START.timestamp()
    told = [(at + 60 * (first + n), str(value)) for n, value in enumerate(values) if value is not None]
    return Series({"Hostname": host, "gpu": "0", "UUID": "GPU-a", **labels}, told)


def values_of(*found: Series) -> Mapping[str, list[float]]:
    told = counted(found, SHAPE, NODES, "gpu-1", timedelta())
    return {gpu: [value for _, value in samples] for gpu, samples in told.items()}


def test_each_gpu_has_its_own_counter_and_another_nodes_is_nobodys() -> None:
    other = series(9, host="gpu-2", UUID="GPU-z")
    numbered = series(1, UUID="", gpu="4")
    assert values_of(series(0, 1, 2), other, numbered) == {"GPU-a": [0, 1, 2], "4": [1]}


def test_a_counter_goes_on_under_the_number_that_its_gpu_got_in_a_reboot() -> None:
    assert values_of(series(3, 4, 5), series(5, 6, first=3, gpu="1")) == {"GPU-a": [3, 4, 5, 5, 6]}


def test_two_exporters_a_scrape_apart_do_not_seem_to_begin_anew() -> None:
    one = series(900, 904, 908, 912, instance="a")
    other = series(901, None, 903, None, instance="b")
    told = counted([other, one], SHAPE, NODES, "gpu-1", timedelta())["GPU-a"]
    assert gained(told, LONG_AGO) == 12


def test_times_are_of_our_own_clock() -> None:
    told = counted([series(1)], SHAPE, NODES, "gpu-1", timedelta(hours=2))
    assert told["GPU-a"] == [(START + timedelta(hours=2), 1)]


def test_blanks_are_left_out_by_the_question_and_one_question_is_asked_a_label() -> None:
    both = Shape(("Hostname", "instance"))
    asked = of_host(both, "gpu-1", {"cluster": "a"})
    assert len(asked) == 2
    assert all(query.endswith(">= 0 <= 1000000000000") and 'cluster="a"' in query for query in asked)


def test_what_no_counter_can_be_is_left_out() -> None:
    assert values_of(series(1, "NaN", "+Inf", -5, 9.3e18, "many", 2)) == {"GPU-a": [1, 2]}


@given(st.lists(st.tuples(st.integers(0, 5), st.lists(st.text(max_size=4), max_size=5)), max_size=5))
def test_whatever_prometheus_answers_is_in_order_of_time(parts: list[tuple[int, list[str]]]) -> None:
    told = counted(
        [series(*texts, first=first) for first, texts in parts], SHAPE, NODES, "gpu-1", timedelta()
    )
    for samples in told.values():
        times = [at for at, _ in samples]
        assert times == sorted(set(times))
