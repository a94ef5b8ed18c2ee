"""The coach fits its place: a strip has its nine lines whatever is said, and a pane loses none of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from widgets.coach import STRIP_LINES, CoachFacts, Observed, pane_lines, strip_lines
from widgets.glyphs import ASCII, UNICODE
from widgets.lines import LineOf, width_of_line
from widgets.tones import Tone

FACTS = CoachFacts(
    title="Drill: The life of a node",
    stage="2 of 5 Health gate (1/2)",
    step="A node with too few GPUs does not pass",
    state="observing",
    tone=Tone.NOTE,
    act="Nothing to press: it is on its way.",
    hints="e explain  q leave",
    does="The node boots, and one of its GPUs is missing. " * 3,
    why="A gate that opens all the same is none.",
    cost="Nothing is evicted.",
    expect="The gate says FAIL.",
    mechanism="Health checks.",
    idea="Only a verdict opens a node.",
    outside="kubectl describe node drill-1",
    before="Make a node: it is there",
    checkpoint=(
        Observed("node", "stage gated", met=True),
        Observed("the finding gpus", "none yet", met=False),
    ),
)


def text(lines: list[LineOf]) -> str:
    return "\n".join("".join(piece for piece, _ in line) for line in lines)


@pytest.mark.parametrize("width", [80, 100, 109])
@pytest.mark.parametrize("said", [1, 30, 400])
def test_a_strip_has_nine_lines_that_fit(width: int, said: int) -> None:
    long = CoachFacts(
        **{
            **{name: getattr(FACTS, name) for name in CoachFacts.__slots__},
            "does": "word " * said,
            "answer": "answer " * said,
            "checkpoint": tuple(Observed("node", "word " * said, met=True) for _ in range(4)),
        }
    )
    for facts in (FACTS, long):
        lines = strip_lines(facts, UNICODE, width)
        assert len(lines) == STRIP_LINES
        assert max(map(width_of_line, lines)) <= width


def test_a_pane_says_everything_and_a_strip_what_is_needed_to_go_on() -> None:
    pane = text(pane_lines(FACTS, UNICODE, 44))
    for part in ("Why", "How", "Idea", "Outside", "Costs", "Checkpoint", FACTS.act, "e explain q leave"):
        assert part in pane
    strip = text(strip_lines(FACTS, UNICODE, 80))
    for part in (FACTS.stage, FACTS.state, FACTS.act, FACTS.hints, "stage gated", "none yet"):
        assert part in strip


@pytest.mark.parametrize("first", range(50, 79))
def test_evidence_that_is_cut_ends_in_an_ellipsis_wherever_its_words_end(first: int) -> None:
    seen = Observed("node", f"{'x' * first} {'y' * 50} {'z' * 50}", met=True)
    for line in strip_lines(replace(FACTS, checkpoint=(seen,) * 4), UNICODE, 80):
        said = text([line])
        if "xxx" in said:
            assert said.endswith("…")


def test_what_is_observed_and_what_is_not_differ_by_more_than_colour() -> None:
    for glyphs in (UNICODE, ASCII):
        strip = text(strip_lines(FACTS, glyphs, 80))
        assert f"{glyphs.good} stage gated" in strip
        assert f"{glyphs.unchecked} the finding gpus: none yet" in strip
