"""At 80 by 24: nothing that is needed is cut, and what is cut has a sign."""

from __future__ import annotations

import pytest

from tests.driver import Driver, at_the_desk
from tui.commands import (
    DRAIN,
    DRIFT,
    DRILL_NEXT,
    GATE,
    PLAN_DOWN,
    PLAN_PAGE_DOWN,
    PLAN_UP,
    REVERSE,
    SORT,
)
from tui.screens.choose import Choice, ChooseScreen
from tui.settings import Settings

NARROW = (80, 24)


def footer(at: Driver) -> str:
    return at.text().splitlines()[-1]


async def test_what_a_gate_asks_for_is_told_whole() -> None:
    async with at_the_desk(NARROW) as at:
        await at.select("h100-007")
        await at.press(GATE)
        await at.planned()
        lines = at.text().splitlines()
        accept = next(line for line in lines if "--accept" in line)
        expires = next(line for line in lines if "--expires" in line)
        assert "a check that is UNKNOWN, to let it stay so for a time" in accept
        assert "until when that holds: 8h, or 2026-03-01T09:30Z" in expires


async def test_the_drift_screens_footer_has_the_way_to_the_offenders() -> None:
    async with at_the_desk(NARROW) as at:
        await at.press(DRIFT)
        await at.sees("Drift")
        assert {"tab Offenders", "? Help", "esc Back"} <= set(footer(at).strip().split("  "))


async def test_a_long_answer_to_a_key_ends_in_an_ellipsis_where_it_is_cut() -> None:
    async with at_the_desk(NARROW) as at:
        at.fleet_screen.say(" ".join(f"word{number}" for number in range(80)))

        def said() -> list[str]:
            return [line.strip() for line in at.text().splitlines() if "word" in line]

        await at.until(lambda: len(said()) == 3, "the third line of it")
        assert said()[-1].endswith("…")
        at.fleet_screen.say("a short one")
        await at.sees("a short one")
        assert "…" not in at.text().splitlines()[-2]


@pytest.mark.parametrize("theme", ["dark", "ascii"])
async def test_a_plan_that_is_longer_than_the_screen_says_how_much_follows(theme: str) -> None:
    async with at_the_desk(NARROW, settings=Settings(theme=theme)) as at:
        await at.select("h100-004")
        await at.press(DRAIN)
        await at.planned()
        await at.sees("more line")
        more = next(line for line in at.text().splitlines() if "more line" in line)
        assert ("down" if theme == "ascii" else "↓") in more
        await at.press(PLAN_DOWN)
        await at.sees("above")
        await at.press(*[PLAN_PAGE_DOWN] * 3)
        await at.sees_no("more line")
        await at.press(*[PLAN_UP] * 40)
        await at.sees_no("above")


async def test_a_short_plan_says_nothing_of_more() -> None:
    async with at_the_desk((120, 60)) as at:
        await at.select("h100-004")
        await at.press(DRAIN)
        await at.planned()
        assert "more line" not in at.text()


async def test_what_a_key_was_answered_with_goes_with_the_next_key() -> None:
    async with at_the_desk(NARROW) as at:
        await at.press(DRILL_NEXT)
        await at.sees("Next step: no drill is under way")
        await at.press(REVERSE)
        await at.sees_no("Next step: no drill is under way")


async def test_the_explanations_of_a_list_stand_in_a_column() -> None:
    async with at_the_desk(NARROW) as at:
        await at.press(SORT)
        await at.sees("who keeps it closed")
        lines = at.text().splitlines()
        places = {
            next(line for line in lines if says in line).index(says)
            for says in ("who keeps it closed", "mean utilisation", "how many workloads")
        }
        assert len(places) == 1
        assert "│ node " in at.text()


async def test_an_explanation_that_goes_on_stays_in_its_column() -> None:
    async with at_the_desk(NARROW) as at:
        choices = [Choice("a", "short", "word " * 20), Choice("b", "a longer one", "end")]
        await at.app.push_screen(ChooseScreen("Which?", choices))
        await at.sees("Which?")
        lines = [line for line in at.text().splitlines() if "word" in line]
        assert len(lines) == 2
        assert {line.index("word") for line in lines} == {lines[0].index("word")}
