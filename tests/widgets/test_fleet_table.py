"""The fleet table under keys, mouse, moving rows and other sizes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from textual.app import App, ComposeResult
from textual.events import MouseScrollDown
from textual.message import Message
from textual.pilot import Pilot

from fleet import sorting
from fleet.groups import GroupKey
from fleet.node import NodeKey
from fleet.selection import parse
from fleet.sorting import Sort
from tests.builders import NOW, node, row, telemetry, work
from tests.widgets.fleets import TestFleet
from widgets.cells import Scene
from widgets.fleet_table import FleetTable

SCENE = Scene(NOW)
GROUP = GroupKey("h100", "v2", 1)


class TableApp(App[None]):
    """A table, and what it said."""

    def __init__(self, fleet: TestFleet) -> None:
        super().__init__()
        self.fleet = fleet
        self.said: list[Message] = []

    def compose(self) -> ComposeResult:
        yield FleetTable(self.fleet.lines, SCENE)

    def on_fleet_table_opened(self, message: FleetTable.Opened) -> None:
        self.said.append(message)

    def on_fleet_table_sort_asked(self, message: FleetTable.SortAsked) -> None:
        self.said.append(message)

    def on_fleet_table_marks_changed(self, message: FleetTable.MarksChanged) -> None:
        self.said.append(message)

    def on_fleet_table_fold_toggled(self, message: FleetTable.FoldToggled) -> None:
        self.said.append(message)
        (self.fleet.view.fold if message.folded else self.fleet.view.unfold)([message.group])
        self.query_one(FleetTable).show(SCENE)


def key(number: int) -> NodeKey:
    return NodeKey("demo", f"gpu-{number:05}")


def fleet_of(count: int) -> TestFleet:
    rows = [
        row(of=node(key(number).name), does=work("train", gpus=8), shows=telemetry())
        for number in range(count)
    ]
    return TestFleet(rows)


@asynccontextmanager
async def table_of(
    count: int, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[FleetTable, TestFleet, Pilot[None], TableApp]]:
    fleet = fleet_of(count)
    app = TableApp(fleet)
    async with app.run_test(size=size) as pilot:
        table = app.query_one(FleetTable)
        table.focus()
        await pilot.pause()
        yield table, fleet, pilot, app


def text_of(table: FleetTable) -> list[str]:
    return [strip.text for strip in table.render_lines(table.size.region)]


async def test_the_cursor_stays_on_its_node_while_rows_move() -> None:
    async with table_of(30) as (table, fleet, pilot, _):
        table.put_cursor(key(4))
        fleet.sort(Sort(sorting.Column.NAME, descending=True))
        table.show(SCENE)
        await pilot.pause()
        assert table.cursor_key == key(4)
        assert next(line for line in text_of(table) if line.startswith("▌")).split()[1] == key(4).name


async def test_the_cursor_goes_to_what_takes_the_place_of_a_node_that_went() -> None:
    async with table_of(30) as (table, fleet, pilot, _):
        table.put_cursor(key(4))
        fleet.lose(key(4))
        table.show(SCENE)
        await pilot.pause()
        assert table.cursor_key == key(5)


async def test_the_last_node_going_leaves_the_cursor_on_the_new_last() -> None:
    async with table_of(3) as (table, fleet, pilot, _):
        await pilot.press("end")
        fleet.lose(key(2))
        table.show(SCENE)
        assert table.cursor_key == key(1)


async def test_rows_that_appear_above_do_not_move_what_is_looked_at() -> None:
    async with table_of(200) as (table, fleet, _pilot, _):
        table.put_cursor(key(100))
        height = table.lines_on_screen.index(fleet.view.index_of(key(100)) or 0)
        fleet.see(*(node(f"aaa-{number}") for number in range(5)))
        table.show(SCENE)
        assert table.lines_on_screen.index(fleet.view.index_of(key(100)) or 0) == height


async def test_why_a_fleet_is_empty_is_told_whole_on_a_narrow_screen() -> None:
    says = "prod is unreachable: https://api.prod.example:6443/api/v1/nodes: connection refused. `doctor` tells more"
    async with table_of(0, size=(40, 10)) as (table, _, _pilot, _app):
        table.show(SCENE, nothing=says)
        lines = [line.rstrip() for line in text_of(table)[1:] if line.strip()]
        assert "".join("".join(lines).split()) == "".join(says.split())
        assert len(lines) > 2
        assert all(line.startswith("  ") for line in lines)


async def test_an_empty_fleet_says_why_it_is_empty() -> None:
    async with table_of(0) as (table, _, pilot, _app):
        table.show(SCENE, nothing="no node matches [red]")
        await pilot.press("down", "space", "enter", "a", "left", "end")
        assert "no node matches [red]" in text_of(table)[1]
        assert table.cursor_key is None


async def test_marks_survive_sorting_folding_and_filtering() -> None:
    async with table_of(10) as (table, fleet, pilot, _):
        table.put_cursor(key(2))
        await pilot.press("space", "space")
        assert table.marks == {key(2), key(3)}
        fleet.view.fold([GROUP])
        fleet.view.arrange(NOW, selection=parse("name=gpu-00009"), sort=Sort.by(sorting.Column.XID))
        table.show(SCENE)
        assert table.marks == {key(2), key(3)}
        assert "2 marked" in text_of(table)[0]


async def test_marking_a_group_marks_its_nodes_and_again_none() -> None:
    async with table_of(10) as (table, fleet, pilot, app):
        table.put_cursor(GROUP)
        await pilot.press("space")
        assert table.marks == frozenset(fleet.view.nodes())
        assert text_of(table)[2][1] == "◆"
        table.put_cursor(key(0))
        await pilot.press("space")
        assert text_of(table)[2][1] == "◇"
        table.put_cursor(GROUP)
        await pilot.press("space", "space")
        assert table.marks == frozenset()
        assert sum(isinstance(said, FleetTable.MarksChanged) for said in app.said) == 4


@pytest.mark.parametrize("press", ["a", "asterisk"])
async def test_all_that_matches_is_marked_with_one_key(press: str) -> None:
    async with table_of(10) as (table, fleet, pilot, _):
        await pilot.press(press)
        assert table.marks == frozenset(fleet.view.nodes())


async def test_a_group_folds_and_unfolds_and_left_on_a_node_goes_to_its_group() -> None:
    async with table_of(10) as (table, fleet, pilot, _):
        table.put_cursor(key(3))
        await pilot.press("left")
        assert table.cursor_key == GROUP
        await pilot.press("h")
        assert len(fleet.view) == 2
        await pilot.press("l")
        assert len(fleet.view) == 12
        await pilot.press("enter")
        assert len(fleet.view) == 2
        assert table.cursor_key == GROUP


async def test_enter_on_a_node_opens_it() -> None:
    async with table_of(10) as (table, _, pilot, app):
        table.put_cursor(key(3))
        await pilot.press("enter")
        assert [said.key for said in app.said if isinstance(said, FleetTable.Opened)] == [key(3)]


async def test_a_click_on_a_title_asks_for_that_order() -> None:
    async with table_of(10) as (table, _, pilot, app):
        x = text_of(table)[0].index("util")
        await pilot.click(FleetTable, offset=(x, 0))
        assert [said.column for said in app.said if isinstance(said, FleetTable.SortAsked)] == [
            sorting.Column.GPU_UTIL
        ]
        table.show(SCENE, sorted_by=Sort.by(sorting.Column.GPU_UTIL))
        assert "▾ util" in text_of(table)[0]


async def test_a_click_chooses_a_second_opens_and_the_wheel_scrolls() -> None:
    async with table_of(200) as (table, _, pilot, app):
        await pilot.click(FleetTable, offset=(10, 5))
        assert table.cursor_key == key(2)
        await pilot.click(FleetTable, offset=(10, 5), times=2)
        assert [said.key for said in app.said if isinstance(said, FleetTable.Opened)] == [key(2)]
        await pilot.click(FleetTable, offset=(1, 6))
        assert table.marks == {key(3)}
        top = table.lines_on_screen.start
        await pilot._post_mouse_events([MouseScrollDown], FleetTable)
        assert table.lines_on_screen.start == top + 3
        assert table.cursor_key == key(3)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50), (30, 6), (12, 2)])
async def test_every_line_fits_the_width(size: tuple[int, int]) -> None:
    async with table_of(60, size) as (table, _, _pilot, _app):
        strips = table.render_lines(table.size.region)
        assert len(strips) == size[1]
        assert {strip.cell_length for strip in strips} == {size[0]}
        assert all(len(strip.text) == size[0] for strip in strips)


async def test_a_resize_keeps_the_cursor_in_view() -> None:
    async with table_of(200) as (table, fleet, pilot, _):
        table.put_cursor(key(35))
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert table.cursor_key == key(35)
        assert fleet.view.index_of(key(35)) in table.lines_on_screen


async def test_at_ten_thousand_nodes_only_what_is_on_screen_is_built() -> None:
    async with table_of(10_000) as (table, fleet, pilot, _):
        assert table.strips_built <= 2 * 40
        built, asked = table.strips_built, fleet.lines.asked
        await pilot.press("end")
        assert table.strips_built - built <= 41
        assert fleet.lines.asked - asked <= 41
        built = table.strips_built
        await pilot.press("up", "up")
        assert table.strips_built - built <= 4


async def test_an_update_that_shows_nothing_new_builds_nothing() -> None:
    async with table_of(1_000) as (table, fleet, _, _app):
        built = table.strips_built
        table.show(SCENE, fleet.view.nodes())
        assert table.strips_built == built
        table.show(Scene(NOW + timedelta(seconds=1)), [])
        assert table.strips_built == built


async def test_a_change_on_screen_builds_that_line_alone_and_one_off_screen_none() -> None:
    async with table_of(1_000) as (table, fleet, pilot, _):
        built = table.strips_built
        fleet.see(*(replace(fleet.node(key(number)), label_stage="drained") for number in (3, 900)))
        table.show(SCENE, [key(3), key(900)])
        await pilot.pause()
        assert table.strips_built == built + 1
        assert "labelled" in "".join(line for line in text_of(table) if key(3).name in line)


async def test_another_theme_repaints_and_keeps_the_cursor() -> None:
    async with table_of(30) as (table, _, pilot, app):
        table.put_cursor(key(4))
        before = table.render_lines(table.size.region)
        app.theme = "textual-light"
        await pilot.pause()
        after = table.render_lines(table.size.region)
        assert [strip.text for strip in before] == [strip.text for strip in after]
        assert before[5] != after[5]
        assert table.cursor_key == key(4)
