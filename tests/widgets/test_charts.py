"""Charts: a gap is a gap, the threshold is drawn, and a past that can't be read says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.history import SPANS, Line, Metric, NodeHistory
from tests.clocks import START
from widgets.charts import Past, chart_lines
from widgets.glyphs import ASCII, UNICODE, Glyphs
from widgets.lines import width_of_line
from widgets.plot import Scale, plot
from widgets.sparkline import sparkline

HOUR = SPANS[1]


def drawn(
    values: Sequence[float | None], width: int = 26, height: int = 2, threshold: float | None = None
) -> list[str]:
    lines = plot([values], Scale(0, 100, threshold), width, height, UNICODE, ("100", "0"))
    return ["".join(text for text, _ in line) for line in lines]


def said(past: Past, width: int = 80, glyphs: Glyphs = UNICODE) -> str:
    lines = chart_lines(past, glyphs, START, width, 4)
    assert all(width_of_line(line) <= width for line in lines)
    return "\n".join("".join(text for text, _ in line) for line in lines)


def past(**values: tuple[float | None, ...]) -> Past:
    lines = {Metric[name.upper()]: (Line("0", told), Line("1", told)) for name, told in values.items()}
    return Past(HOUR, NodeHistory(HOUR, START, lines, "prometheus", slowdown=87))


def test_high_values_are_above_and_low_ones_below() -> None:
    top, bottom = drawn([100.0] * 20 + [0.0] * 20)
    assert top.startswith("  100 ⠉⠉")
    assert bottom.rstrip().endswith("⣀")


def test_a_gap_is_empty() -> None:
    top, bottom = drawn([100.0] * 10 + [None] * 20 + [100.0] * 10)
    assert top[6:].strip() == "⠉⠉⠉⠉⠉          ⠉⠉⠉⠉⠉"
    assert bottom[6:].strip() == ""


NO_NUMBER = (float("nan"), float("inf"), float("-inf"))


@pytest.mark.parametrize("none", NO_NUMBER)
def test_what_is_no_number_is_a_gap(none: float) -> None:
    assert drawn([100.0] * 10 + [none] * 20 + [100.0] * 10) == drawn(
        [100.0] * 10 + [None] * 20 + [100.0] * 10
    )
    assert drawn([none, 50.0, none], height=1) == drawn([None, 50.0, None], height=1)
    assert sparkline([none, 50.0, none], 3, UNICODE) == sparkline([None, 50.0, None], 3, UNICODE)
    assert sparkline([none], 3, UNICODE) == ""


@pytest.mark.parametrize("none", NO_NUMBER)
def test_a_past_of_numbers_that_are_none_is_drawn_as_one_that_is_not_known(none: float) -> None:
    values, unknown = (40.0, none, 60.0), (40.0, None, 60.0)
    odd, plain = (past(util=told, temp=told, power=told, memory=told) for told in (values, unknown))
    assert said(odd) == said(plain)
    assert odd.history is not None
    assert "slows at" not in said(Past(HOUR, replace(odd.history, slowdown=none)))


def test_few_points_are_joined_and_a_lonely_one_is_seen() -> None:
    (line,) = drawn([0.0, 100.0], height=1)
    assert " " not in line[6:]
    (lonely,) = drawn([None, 50.0, None], height=1)
    assert lonely[6:].strip()


def test_the_threshold_is_drawn_where_no_line_is() -> None:
    top, _ = drawn([0.0] * 20, threshold=95.0)
    assert top[6:] == "╌" * 20


def test_nothing_known_is_an_empty_chart() -> None:
    assert [line[6:].strip() for line in drawn([None] * 40)] == ["", ""]


def test_a_title_says_the_mean_and_who_is_at_either_end() -> None:
    lines = {Metric.UTIL: (Line("0", (10.0,) * 240), Line("3", (90.0,) * 240))}
    text = said(Past(HOUR, NodeHistory(HOUR, START, lines, "prometheus")))
    assert "utilisation  50% mean, 10% GPU 0 to 90% GPU 3" in text
    assert "from prometheus, a point every 15 s" in text
    assert "-1 h" in text


def test_the_temperature_says_where_the_hardware_slows_down() -> None:
    text = said(past(temp=(60.0,) * 240))
    assert "slows at 87" in text
    assert "╌" in text


def test_what_is_not_known_of_a_metric_is_said_so() -> None:
    assert "power  ?" in said(past(util=(50.0,) * 240))


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        (Past(HOUR), "reading the past…"),
        (Past(HOUR, None, "prometheus: no answer within 10 s"), "prometheus: no answer within 10 s"),
        (Past(HOUR, NodeHistory(HOUR, START)), "no past is known"),
    ],
)
def test_a_past_that_is_not_there_says_why(shown: Past, says: str) -> None:
    assert said(shown) == says


def test_an_error_after_a_reading_stands_beside_what_was_read() -> None:
    known = past(util=(50.0,) * 240)
    assert "; now: no answer" in said(Past(HOUR, known.history, "no answer"))


def test_a_past_of_our_own_says_since_when_it_is_kept() -> None:
    history = NodeHistory(
        HOUR,
        START,
        {Metric.UTIL: (Line("mean", (50.0,) * 120),)},
        "our own readings",
        since=START - timedelta(minutes=12),
    )
    text = said(Past(HOUR, history))
    assert "50% mean" in text
    assert "from our own readings since 02:48 UTC (12m ago)" in text


@pytest.mark.parametrize("width", [40, 66, 80, 120, 200])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_charts_fit_every_width(width: int, glyphs: Glyphs) -> None:
    known = past(util=(50.0, None) * 120, temp=(60.0,) * 240, power=(400.0,) * 240, memory=(80.0,) * 240)
    text = said(known, width, glyphs)
    assert glyphs is UNICODE or text.replace("°", "").isascii()


@given(st.lists(st.none() | st.floats(0, 100), max_size=300), st.integers(8, 120), st.integers(1, 8))
def test_any_line_is_drawn_in_its_cells(values: list[float | None], width: int, height: int) -> None:
    for glyphs in (UNICODE, ASCII):
        lines = plot([values], Scale(0, 100, 50), width, height, glyphs, ("100 %", "0"))
        assert len(lines) == height
        assert {width_of_line(line) for line in lines} == {width}


def test_a_sparkline_tells_zero_from_nothing() -> None:
    assert sparkline([0, None, 100], 3, UNICODE) == "▁ █"
    assert sparkline([0, None, 100], 3, ASCII) == "_ #"
    assert sparkline([None, None], 2, UNICODE) == ""
