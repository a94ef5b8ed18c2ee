"""Lines of toned pieces: cut, spread and wrapped to a width."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widgets.lines import cut, plain, safe, spread, text_of, width_of_line, wrapped
from widgets.tones import Tone

WORDS = st.lists(st.text(alphabet="ab 節-", max_size=12), max_size=8)


@given(WORDS, st.integers(4, 40))
def test_wrapped_lines_never_pass_the_width_and_lose_no_letter(words: list[str], width: int) -> None:
    line = [plain(word) for word in words] or [plain("")]
    made = wrapped(line, width)
    text = "".join(piece for each in made for piece, _ in each)
    assert text.replace(" ", "") == "".join(words).replace(" ", "")
    assert all(width_of_line([(piece.rstrip(), tone) for piece, tone in each]) <= width + 1 for each in made)


@given(WORDS, st.integers(0, 40))
def test_a_cut_line_takes_at_most_its_width(words: list[str], width: int) -> None:
    assert width_of_line(cut([plain(word) for word in words], width)) <= width


@pytest.mark.parametrize("width", [1, 5, 20, 80])
def test_two_ends_fill_the_width(width: int) -> None:
    assert width_of_line(spread([plain("left side")], [plain("right")], width)) == width


def test_what_goes_on_hangs_below_its_text() -> None:
    made = wrapped([("label     ", Tone.MUTED), plain("one two three four five six")], 30)
    assert next(piece for piece, _ in made[1]) == " " * 10


def test_no_escape_reaches_the_screen_and_spaces_that_align_stay() -> None:
    assert safe([plain("  \x1b[31mred\x1b[0m\n ")]) == [plain("  red ")]
    assert text_of([[plain("[b]x[/b]")]]).plain == "[b]x[/b]"


@pytest.mark.parametrize("width", range(12, 60))
def test_a_space_at_a_lines_end_takes_no_letter_from_the_word_before_it(width: int) -> None:
    line = [
        ("  clears: ", Tone.MUTED),
        plain("a gate that passes on evidence newer than the fault, or a reimage"),
    ]
    made = wrapped(line, width)
    assert all(width_of_line(part) <= width for part in made)
    shown = text_of(made, width).plain
    assert "…" not in shown
    assert (
        " ".join(shown.split()) == "clears: a gate that passes on evidence newer than the fault, or a reimage"
    )
