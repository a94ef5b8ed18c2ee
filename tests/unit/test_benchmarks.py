"""Benchmarks are no tests, and nothing here looks at a time: only that they still run, and say what they found in the one form."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.figures import QUICK, Figure, Size, percentile

TINY = replace(QUICK, nodes=60, few=30, pods=300, repeats=1, keys=3, seconds=0.1)
AGAINST = {"floor", "peer"}
ALWAYS = {"name", "value", "unit", "ratio", "n"}


def well_formed(line: str) -> bool:
    said = json.loads(line)
    numbers = [said["value"], *[said[name] for name in AGAINST & said.keys()]]
    return (
        ALWAYS <= said.keys() <= ALWAYS | AGAINST | {"note"}
        and all(isinstance(number, float) and number >= 0 for number in numbers)
        and isinstance(said["ratio"], float) == bool(AGAINST & said.keys())
        and isinstance(said["n"], int)
        and said["n"] > 0
    )


@pytest.mark.parametrize("name", ["start", "order"])
def test_a_benchmark_says_its_figures_in_the_one_form(name: str) -> None:
    figures = list(BENCHMARKS[name](TINY))
    assert figures
    assert all(well_formed(figure.line()) for figure in figures)
    assert len({figure.name for figure in figures}) == len(figures)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_says_in_a_line_what_it_measures(name: str) -> None:
    assert (BENCHMARKS[name].__doc__ or "").strip().endswith(".")


def test_a_ratio_is_to_the_floor_where_there_is_one() -> None:
    assert Figure("a", 3.0, "ms", 1, floor=2.0, peer=1.0).ratio == 1.5
    assert Figure("a", 3.0, "ms", 1, peer=4.0).ratio == 0.75
    assert Figure("a", 3.0, "ms", 1).ratio is None


def test_percentiles_are_values_that_were_measured() -> None:
    assert [percentile([5.0, 1.0, 3.0], share) for share in (0, 50, 99)] == [1.0, 3.0, 5.0]


def test_quick_is_smaller_in_every_way() -> None:
    full = Size()
    assert all(
        getattr(QUICK, name) < getattr(full, name)
        for name in ("nodes", "few", "pods", "repeats", "keys", "seconds")
    )
