"""The heat map walked by its keys: closer, farther, by another measure, over the nodes that the filter shows."""

from __future__ import annotations

from dataclasses import replace

from fleet.errors import Unreachable
from fleet.node import NodeKey, Topology
from fleet.observation import NodeSeen
from tests.builders import node
from tests.driver import at_the_desk
from tests.lab_fleet import lab_fleet
from tui.commands import FILTER, HEAT, HEAT_BACK, HEAT_BY, HEAT_IN, HEAT_MEASURE, HEAT_OUT
from tui.screens.heat import HeatScreen


async def test_the_map_goes_from_gpus_to_racks_and_back_to_the_node_itself() -> None:
    async with at_the_desk((120, 40)) as at:
        await at.press(HEAT)
        await at.sees("a cell a GPU")
        await at.press(HEAT_OUT)
        await at.sees("a cell a node")
        await at.press(HEAT_OUT)
        await at.sees("a cell a ")
        await at.press(HEAT_IN, HEAT_IN)
        await at.sees("a cell a GPU")
        screen = at.app.screen
        assert isinstance(screen, HeatScreen)
        spot = screen.grid.spot
        assert spot is not None
        await at.press(HEAT_IN)
        await at.sees_no("Heat map")
        assert at.fleet_screen.table.cursor_key == spot.node
        assert at.fleet_screen.pane.node == spot.node


async def test_back_leaves_the_table_as_it_was() -> None:
    async with at_the_desk((80, 24)) as at:
        await at.select("h100-007")
        before = at.fleet_screen.table.cursor_key
        await at.press(HEAT)
        await at.sees("Heat map")
        await at.press("right", HEAT_BACK)
        await at.sees_no("Heat map")
        assert at.fleet_screen.table.cursor_key == before


async def test_the_measure_changes_what_the_cells_and_the_legend_say() -> None:
    async with at_the_desk((80, 24)) as at:
        await at.press(HEAT)
        for measure in ("utilisation", "temperature", "power", "memory", "errors", "utilisation"):
            await at.sees(f"Heat map   {measure}")
            await at.press(HEAT_MEASURE)


async def test_the_map_shows_what_the_filter_shows() -> None:
    async with at_the_desk((120, 40)) as at:
        await at.press(FILTER)
        await at.type("a100")
        await at.press("enter", HEAT)
        await at.sees("filter: a100", "a100-001")
        assert "h100-001" not in at.text()


async def test_gpus_that_cannot_be_read_are_unknown_and_say_why() -> None:
    async with at_the_desk((120, 40)) as at:

        async def unreachable(nodes: object) -> object:
            raise Unreachable("connection refused", about="prometheus")

        at.deck.by_gpu = unreachable  # type: ignore[assignment]
        await at.press(HEAT)
        await at.sees("connection refused", "?")


async def test_another_arrangement_keeps_the_node_under_the_cursor() -> None:
    async with at_the_desk((80, 24)) as at:
        await at.press(HEAT, "right", "right")
        screen = at.app.screen
        assert isinstance(screen, HeatScreen)
        before = screen.grid.spot
        await at.press(HEAT_BY)
        after = screen.grid.spot
        assert before is not None
        assert after is not None
        assert after.node == before.node


async def test_opened_before_the_fleet_is_listed_it_begins_anew_with_the_racks_and_the_room_there_is() -> (
    None
):
    async with at_the_desk((120, 40), fleet=lab_fleet(empty=True)) as at:
        await at.press(HEAT)
        await at.sees("Heat map", "0 nodes")
        rack = Topology(rack="r1")
        many = [replace(node(f"gpu-{number:04d}"), topology=rack) for number in range(600)]
        at.deck.report([NodeSeen(each) for each in many])
        await at.sees("a cell a node", "by rack", "600 nodes")
        await at.press(HEAT_IN)
        await at.sees("a cell a GPU")
        others = (replace(each, key=NodeKey("demo", f"new-{each.key.name}")) for each in many)
        at.deck.report([NodeSeen(each) for each in others])
        await at.sees("a cell a GPU", "1,200 nodes")
