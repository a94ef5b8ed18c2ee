"""A filter typed letter by letter over the fleet: the table never empties or jumps on the way to what is meant."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fleet.row import FleetRow
from fleet.selection_completion import KnownValues
from tests.driver import Driver, at_the_desk
from tests.fakes import key
from tui.commands import FILTER
from tui.screens import filtering
from widgets.filter_bar import FilterBar


async def letter_by_letter(at: Driver, text: str) -> list[int]:
    """How many nodes were shown after each letter."""
    shown = []
    for letter in text:
        await at.type(letter)
        await at.pilot.pause()
        shown.append(len(at.fleet_screen.view.nodes()))
    return shown


@pytest.mark.parametrize(
    ("text", "found"), [("image=ubuntu22-v1", 4), ("stage=quarantined", 1), ("name=h100-007", 1)]
)
async def test_the_table_keeps_what_it_shows_until_the_term_is_whole(text: str, found: int) -> None:
    async with at_the_desk() as at:
        await at.press(FILTER)
        assert await letter_by_letter(at, text) == [28] * (len(text) - 1) + [found]


async def test_a_second_term_leaves_the_first_ones_nodes_while_it_is_typed() -> None:
    async with at_the_desk() as at:
        await at.press(FILTER)
        await at.type("category=h100-train")
        first = len(at.fleet_screen.view.nodes())
        shown = await letter_by_letter(at, " gpu_temp>1")
        assert shown[:-1] == [first] * (len(shown) - 1)
        assert 0 < first < 28


async def test_a_space_finishes_a_term_though_nobody_has_it() -> None:
    async with at_the_desk() as at:
        await at.press(FILTER)
        await at.type("category=h ")
        await at.sees("no node matches category=h")


async def test_enter_takes_what_is_typed_though_nobody_has_it() -> None:
    async with at_the_desk() as at:
        await at.press(FILTER)
        await at.type("category=h")
        await at.sees("^ h100-train")
        await at.press("enter")
        await at.sees("no node matches category=h: esc clears the filter")


async def test_enter_on_half_a_filter_stays_in_the_bar() -> None:
    async with at_the_desk() as at:
        await at.press(FILTER)
        await at.type("stage=quar")
        await at.press("enter")
        await at.sees("^ stage is never 'quar'")
        assert at.app.focused is not None
        assert isinstance(at.app.focused.parent, FilterBar)
        await at.press("tab", "enter")
        assert list(at.fleet_screen.view.nodes()) == [key("h100-007")]


async def test_the_footer_has_the_bars_own_keys_while_a_filter_is_typed() -> None:
    async with at_the_desk((80, 24)) as at:
        assert "g Gate" in at.text().splitlines()[-1]
        await at.press(FILTER)
        await at.until(
            lambda: at.text().splitlines()[-1].strip() == "enter Keep it  tab Complete  esc Clear the filter",
            "the bar's keys",
        )
        await at.press("escape")
        await at.until(lambda: "g Gate" in at.text().splitlines()[-1], "the table's keys")


async def test_a_large_fleet_is_learnt_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take = KnownValues.take

    def counted(known: KnownValues, rows: Sequence[FleetRow]) -> None:
        taken.append(len(rows))
        take(known, rows)

    monkeypatch.setattr(filtering, "_AT_ONCE", 10)
    monkeypatch.setattr(KnownValues, "take", counted)
    async with at_the_desk() as at:
        await at.press(FILTER)
        await at.until(lambda: sum(taken) == len(at.deck.store.rows_by_key), "the last of the fleet")
        await at.type("name=l40s-00")
        await at.sees("l40s-008")
    assert taken == [10, 10, 8]
