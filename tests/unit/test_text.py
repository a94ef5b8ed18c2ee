"""Texts from outside, made fit to paint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.text import clean


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text", "plain text"),
        ("", ""),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jwiped", "wiped"),
        ("one\r\n\ttwo", "one two"),
        ("nul\x00byte", "nul byte"),
        ("abc\u202egnp.exe", "abcgnp.exe"),
        ("broken \ud800 half", "broken  half"),
        ("[bold]markup stays[/]", "[bold]markup stays[/]"),
        ("größe 測定", "größe 測定"),
        ("ends in escape \x1b", "ends in escape"),
    ],
)
def test_only_what_can_be_painted_is_left(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_a_long_text_is_cut_and_says_so() -> None:
    cut = clean("x" * 40_000, limit=100)
    assert len(cut) == 100
    assert cut.endswith("…")


@given(st.text(max_size=300))
def test_nothing_that_moves_a_cursor_survives(raw: str) -> None:
    shown = clean(raw, limit=80)
    assert len(shown) <= 80
    assert not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in shown)
    assert clean(shown, limit=80) == shown
