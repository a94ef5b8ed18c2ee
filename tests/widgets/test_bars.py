"""The header, the footer, the filter bar and the help page."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Input

from fleet.feeds import FeedHealth, FeedState
from fleet.selection import EVERYTHING, Selection, parse
from fleet.summary import FeedBadge, FleetSummary
from fleet.tally import Totals
from tests.builders import NOW
from widgets.filter_bar import FilterBar
from widgets.fleet_header import FleetHeader, HeaderFacts
from widgets.help_table import HelpLine, HelpTable
from widgets.key_footer import KeyFooter, KeyHint
from widgets.sheet import Sheet

TOTALS = Totals(
    nodes=60,
    in_service=49,
    gpus_capacity=480,
    gpus_usable=392,
    quarantined=4,
    drifted=10,
    not_ready=1,
    util=53.0,
)


def badge(name: str, health: FeedHealth = FeedHealth.LIVE, why: str = "") -> FeedBadge:
    state = FeedState("demo", name, health, NOW - timedelta(minutes=3), NOW - timedelta(seconds=2), why)
    return FeedBadge(state, health)


def drawn(width: int, *badges: FeedBadge, **more: object) -> list[str]:
    header = FleetHeader()
    header._facts = HeaderFacts(("prod",), FleetSummary(TOTALS, badges), NOW, **more)  # type: ignore[arg-type]
    return header.draw(width).plain.split("\n")


def test_the_header_names_the_cluster_the_fleet_and_each_feeds_age() -> None:
    first, second = drawn(120, badge("nodes"), badge("gpu"), operations=2)
    assert "prod" in first
    assert first.endswith("● nodes 2s  ● gpu 2s")
    for part in (
        "49 of 60 in service",
        "392 of 480 GPUs usable",
        "4 quarantined",
        "10 drift",
        "2 running",
        "util 53%",
    ):
        assert part in second


def test_of_several_sources_the_feeds_of_one_that_fare_alike_are_one() -> None:
    def of(source: str, name: str, health: FeedHealth = FeedHealth.LIVE, why: str = "") -> FeedBadge:
        made = badge(name, health, why)
        return FeedBadge(replace(made.state, source=source), health)

    away = FeedHealth.UNREACHABLE
    live = (of("prod", "nodes"), of("prod", "pods"))
    first, _ = drawn(120, of("lab", "jobs"), of("lab", "nodes"), *live, sources=2)
    assert first.endswith("● lab 2s  ● prod 2s")
    first, _ = drawn(
        120, of("lab", "jobs", away, "refused"), of("lab", "nodes", away, "refused"), *live, sources=2
    )
    assert "lab: refused" in first
    assert first.endswith("✗ lab UNREACHABLE 2s  ● prod 2s")
    first, _ = drawn(120, of("lab", "jobs", FeedHealth.DENIED), of("lab", "nodes"), *live, sources=2)
    assert first.endswith("✗ lab/jobs DENIED 2s  ● lab/nodes 2s  ● prod 2s")


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (NOW - timedelta(hours=2), "last known 01:00 UTC, 2h ago: no route to host"),
        (NOW - timedelta(days=2), "last known 02-27 03:00 UTC, 2d ago: no route to host"),
    ],
)
def test_a_fleet_that_is_only_last_known_says_since_when_and_why(seen: datetime, told: str) -> None:
    why = "https://10.0.0.1:6443/api/v1/nodes: no route to host"
    gone = replace(badge("nodes", FeedHealth.UNREACHABLE, why).state, source="prod")
    for width in (80, 120):
        shown = drawn(width, FeedBadge(gone, gone.health), last_known={"prod": seen})[0]
        assert told in shown
    many = drawn(120, FeedBadge(gone, gone.health), last_known={"prod": seen, "dr": NOW})[0]
    assert told in many


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
def test_the_header_fits_any_width(width: int) -> None:
    bad = badge("gpu", FeedHealth.UNREACHABLE, "refused " * 9)
    lines = drawn(width, badge("nodes"), bad, note="simulated", read_only=True)
    assert len(lines) == 2
    assert all(len(line) <= width for line in lines)


def test_the_counts_are_shortened_before_one_is_left_out_and_that_has_a_sign() -> None:
    assert drawn(78, operations=2)[1] == (
        "49/60 in service  392/480 GPUs usable  4 quarantined  1 not ready  2 running …"
    )
    assert drawn(90, operations=2)[1].endswith("1 not ready  2 running  10 drift")
    assert drawn(60)[1].endswith("4 quarantined …")
    assert "…" not in drawn(120)[1]


def test_a_feed_that_is_not_live_shouts_at_eighty_columns_too() -> None:
    first, _ = drawn(80, badge("nodes"), badge("gpu", FeedHealth.STALE))
    assert first.endswith("✗ gpu STALE 2s")
    assert drawn(80, badge("nodes"))[0].endswith("● live")
    assert drawn(80)[0].endswith("no feed")


def test_a_fleet_that_was_never_listed_counts_as_unknown_and_not_as_empty() -> None:
    def counts(*badges: FeedBadge) -> str:
        header = FleetHeader()
        header._facts = HeaderFacts(("prod",), FleetSummary(Totals(), badges), NOW)
        return header.draw(80).plain

    away = counts(badge("nodes", FeedHealth.UNREACHABLE, "https://10.0.0.1:6443/api/v1/nodes: refused"))
    assert "? nodes in service  ? GPUs usable" in away
    assert "0 of 0" not in away
    assert "nodes:" not in away, "the reason stands whole in the empty table, and is not cut short here too"
    assert "? nodes in service" in counts(badge("nodes", FeedHealth.STARTING), badge("pods"))
    assert "? nodes in service" in counts()
    assert "0 of 0 in service" in counts(badge("nodes"))


def test_the_key_back_and_the_help_are_in_the_footer_however_narrow_it_is() -> None:
    footer = KeyFooter()
    verbs = [KeyHint("g", "Gate"), KeyHint("c", "Cordon"), KeyHint("d", "Drain")]
    footer.show([*verbs, KeyHint("?", "Help", kept=True), KeyHint("esc", "Back", kept=True)])
    assert footer.draw(80).plain == "g Gate  c Cordon  d Drain  ? Help  esc Back"
    assert footer.draw(36).plain == "g Gate  c Cordon  ? Help  esc Back"
    assert footer.draw(20).plain == "? Help  esc Back"
    assert footer.draw(8).plain == "? Help"


class BarsApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.pressed: list[str] = []
        self.selections: list[Selection] = []
        self.ends: list[str] = []

    def compose(self) -> ComposeResult:
        yield FilterBar()
        yield KeyFooter()

    def on_key_footer_pressed(self, message: KeyFooter.Pressed) -> None:
        self.pressed.append(message.hint.key)

    def on_filter_bar_filtered(self, message: FilterBar.Filtered) -> None:
        self.selections.append(message.selection)

    def on_filter_bar_accepted(self) -> None:
        self.ends.append("accepted")

    def on_filter_bar_left(self) -> None:
        self.ends.append("left")


async def test_the_filter_filters_as_it_is_typed_and_enter_keeps_it() -> None:
    app = BarsApp()
    async with app.run_test(size=(80, 10)) as pilot:
        bar = app.query_one(FilterBar)
        bar.start("", {})
        await pilot.press(*"h100", "enter")
        assert app.selections[-1] == parse("h100")
        bar.matched(3, 60)
        assert "3 of 60 nodes" in bar.query_one(Sheet).render().plain
        await pilot.press("escape")
        await pilot.pause()
        assert app.selections[-1] == EVERYTHING
        assert app.ends == ["accepted", "left"]


async def test_a_filter_that_can_not_be_read_keeps_the_last_and_points_at_the_place() -> None:
    app = BarsApp()
    async with app.run_test(size=(80, 10)) as pilot:
        bar = app.query_one(FilterBar)
        bar.start("h100 gpu_tmp>8", {})
        await pilot.pause()
        line = bar.query_one(Sheet).render().plain
        assert line.index("^") == 2 + len("h100 ")
        assert "gpu_temp" in line
        bar.matched(3, 60)
        await pilot.press("enter")
        assert app.selections == []
        assert app.ends == []


async def test_tab_takes_the_suggestion() -> None:
    app = BarsApp()
    async with app.run_test(size=(80, 10)) as pilot:
        bar = app.query_one(FilterBar)
        bar.start("", {"category": ["h100"]})
        await pilot.press(*"category=h")
        await pilot.pause()
        await app.workers.wait_for_complete()
        await pilot.press("tab")
        assert bar.query_one(Input).value == "category=h100"


async def test_the_footer_shows_what_fits_and_a_click_presses() -> None:
    app = BarsApp()
    hints = [KeyHint("g", "gate"), KeyHint("u", "uncordon", "it is open"), KeyHint("x", "retire")]
    async with app.run_test(size=(24, 10)) as pilot:
        footer = app.query_one(KeyFooter)
        footer.show(hints)
        await pilot.pause()
        assert footer.render().plain == "g gate  u uncordon"
        await pilot.click(KeyFooter, offset=(10, 0))
        assert app.pressed == ["u"]


class HelpApp(App[None]):
    def compose(self) -> ComposeResult:
        yield HelpTable(
            [HelpLine("Nodes", "g", "Gate", "Run its checks."), HelpLine("View", "/", "Filter", "[b]")]
        )


async def test_help_groups_the_commands_and_reads_no_markup() -> None:
    app = HelpApp()
    async with app.run_test(size=(80, 10)):
        text = app.query_one(Sheet).render().plain
        assert text.split("\n")[0] == "Nodes"
        assert "  g  Gate    Run its checks." in text
        assert "[b]" in text
