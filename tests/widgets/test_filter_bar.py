"""The filter bar while a selection is half typed: it offers, points dimly, and leaves what is shown alone."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Input

from fleet.selection import Selection, parse
from widgets.filter_bar import FilterBar
from widgets.sheet import Sheet
from widgets.tones import STYLES, Tone

KNOWN = {"category": ("h100", "a100"), "image": ("v1", "v2"), "rack": ("r7",)}


class FilterApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[FilterBar.Filtered] = []
        self.accepted = 0

    def compose(self) -> ComposeResult:
        yield FilterBar()

    def on_mount(self) -> None:
        self.bar.start("", KNOWN)

    @property
    def bar(self) -> FilterBar:
        return self.query_one(FilterBar)

    @property
    def line(self) -> str:
        return self.bar.query_one(Sheet).render().plain

    @property
    def selections(self) -> list[Selection]:
        return [asked.selection for asked in self.asked]

    def tones(self) -> set[str]:
        return {str(span.style) for span in self.bar.query_one(Sheet).render().spans}

    def on_filter_bar_filtered(self, message: FilterBar.Filtered) -> None:
        self.asked.append(message)

    def on_filter_bar_accepted(self) -> None:
        self.accepted += 1


_KEYS = {
    "=": "equals_sign",
    ">": "greater_than_sign",
    '"': "quotation_mark",
    " ": "space",
    "!": "exclamation_mark",
}


def keys(text: str) -> list[str]:
    return [_KEYS.get(letter, letter) for letter in text]


@pytest.mark.parametrize("typed", ["image=", "temp>", "gpu_temp>", "stage=quar", 'rack=="', '"board', "!"])
async def test_a_half_typed_filter_asks_for_nothing_and_points_dimly(typed: str) -> None:
    app = FilterApp()
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.press(*keys(typed))
        await pilot.pause()
        assert app.selections == []
        assert app.line.strip()
        assert STYLES[Tone.BAD] not in app.tones()


async def test_enter_on_what_can_not_be_read_stays_in_the_bar_with_the_message() -> None:
    app = FilterApp()
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.press(*keys("stage=quar"), "enter")
        await pilot.pause()
        assert app.accepted == 0
        assert app.bar.query_one(Input).has_focus
        assert "^ stage is never 'quar'" in app.line
        assert STYLES[Tone.BAD] in app.tones()
        await pilot.press("a")
        await pilot.pause()
        assert STYLES[Tone.BAD] not in app.tones()


async def test_what_tab_would_take_is_named_while_a_value_is_missing() -> None:
    app = FilterApp()
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.press(*keys("stage=quar"))
        await pilot.pause()
        assert app.line == " " * 8 + "^ quarantined (tab)"
        await pilot.press("home", "ctrl+k", *keys("image="))
        await pilot.pause()
        assert app.line == " " * 8 + "^ v1 (tab), v2, none"


async def test_a_word_that_begins_a_field_is_looked_for_once_it_is_finished() -> None:
    app = FilterApp()
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.press(*keys("temp"))
        await pilot.pause()
        assert app.selections == []
        assert app.line == '  enter looks for "temp", or type on: gpu_temp, gpu_margin'
        await pilot.press("space")
        await pilot.pause()
        assert app.selections == [parse("temp")]


async def test_what_enter_does_is_said_first_where_not_every_field_finds_room() -> None:
    app = FilterApp()
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.press(*keys("gpu"))
        await pilot.pause()
        assert app.line.startswith('  enter looks for "gpu", or type on: gpus, ')
        assert app.line.endswith("…")


async def test_enter_looks_for_a_word_though_it_begins_a_field() -> None:
    app = FilterApp()
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.press(*keys("rack"), "enter")
        await pilot.pause()
        assert app.selections == [parse("rack")]
        assert app.accepted == 1


async def test_what_may_go_on_is_asked_for_together_with_what_it_may_become() -> None:
    app = FilterApp()
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.press(*keys("category=h"))
        await pilot.pause()
        asked = app.asked[-1]
        assert (asked.selection, asked.gone_on) == (parse("category=h"), parse("category=h*"))
        app.bar.hold(asked.selection)
        assert app.line == "           ^ h100 (tab)"
        await pilot.press("enter")
        await pilot.pause()
        assert (app.asked[-1].selection, app.asked[-1].gone_on) == (parse("category=h"), None)
        assert app.accepted == 1


async def test_what_is_still_shown_is_counted_beside_the_hint() -> None:
    app = FilterApp()
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.press(*keys("gpu_temp>80"))
        await pilot.pause()
        app.bar.matched(3, 60)
        assert app.line == "  3 of 60 nodes"
        await pilot.press(*keys(" image="))
        await pilot.pause()
        assert app.line.startswith(" " * 20 + "^ v1 (tab), v2, none")
        assert app.line.rstrip().endswith("still 3 of 60 nodes")
        app.bar.matched(4, 60)
        assert app.line.rstrip().endswith("still 4 of 60 nodes")


async def test_a_filter_that_was_made_elsewhere_is_taken_as_it_stands() -> None:
    app = FilterApp()
    async with app.run_test(size=(80, 10)) as pilot:
        app.bar.start("image=v", KNOWN)
        await pilot.pause()
        assert (app.asked[-1].selection, app.asked[-1].gone_on) == (parse("image=v"), None)
