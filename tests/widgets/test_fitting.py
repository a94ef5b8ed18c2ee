"""Text in exactly so many cells, whatever it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from widgets.fitting import fit, fit_middle, printable, width_of

TRAPS = (
    "",
    "plain",
    "[red]not markup[/red]",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07after",
    "two\nlines\tand a tab",
    "節点-東京-一号",
    "🧨👩‍🚀 family 👨‍👩‍👧",
    "e\u0301 combining",
    "\u202eright to left",
    "x" * 40_000,
)


@pytest.mark.parametrize("text", TRAPS)
@pytest.mark.parametrize("width", [0, 1, 2, 5, 17])
def test_a_fitted_text_takes_exactly_its_cells(text: str, width: int) -> None:
    for fitted in (fit(printable(text), width), fit_middle(printable(text), width)):
        assert cell_len(fitted) == width
        assert "\x1b" not in fitted
        assert "\n" not in fitted


@given(st.text(max_size=60), st.integers(0, 30))
def test_any_text_fits(text: str, width: int) -> None:
    assert cell_len(fit(printable(text), width)) == width


def test_markup_stays_text() -> None:
    assert printable("[red]hot[/]") == "[red]hot[/]"


def test_a_long_name_keeps_both_its_ends() -> None:
    fitted = fit_middle("gke-prod-pool-a-7f3c2d-x9k1", 14)
    assert fitted.startswith("gke-pro")
    assert fitted.endswith("d-x9k1")


def test_numbers_stand_to_the_right() -> None:
    assert fit("7", 4, right=True) == "   7"
    assert width_of("節点") == 4
