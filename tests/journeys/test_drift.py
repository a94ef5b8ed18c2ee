"""The matrix of versions on its screen: the odd cells found, their nodes shown or marked in the fleet, and who fails again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from fleet.drift import Versions
from fleet.errors import Unreachable
from fleet.node import NodeKey, Software
from tests.driver import Driver, at_the_desk
from tests.fakes import SOURCE
from tui.commands import (
    DRAIN,
    DRIFT,
    DRIFT_BACK,
    DRIFT_MARK,
    DRIFT_NEXT,
    DRIFT_OPEN,
    DRIFT_TURN,
    OPEN,
    UNCORDON,
)
from tui.screens.drift import DriftScreen


def key(name: str) -> NodeKey:
    return NodeKey(SOURCE, name)


def change(at: Driver, name: str, *, kernel: str) -> None:
    lab = at.fleet.lab
    software = lab.facts[key(name)].node.software
    lab.change(key(name), software=replace(software, kernel=kernel))
    lab.show(key(name))


async def drain_twice(at: Driver, name: str) -> None:
    for verb in (DRAIN, UNCORDON, DRAIN):
        await at.select(name)
        await at.press(verb)
        await at.confirm("fan swap")
        await at.ended()


async def open_drift(at: Driver) -> DriftScreen:
    await at.press(DRIFT)
    await at.until(lambda: isinstance(at.app.screen, DriftScreen), "the drift screen")
    screen = at.app.screen
    assert isinstance(screen, DriftScreen)
    await at.sees("odd of 28")
    return screen


async def to_cell(at: Driver, what: str) -> None:
    """Go on to the next odd cell until it is this one."""
    for _ in range(20):
        if f"{what}  expected" in at.text():
            return
        await at.press(DRIFT_NEXT)
    raise AssertionError(f"no odd cell {what}:\n{at.text()}")


async def test_the_cursor_begins_at_the_first_odd_cell_which_is_told_in_full() -> None:
    async with at_the_desk((120, 40)) as at:
        await open_drift(at)
        await at.sees(
            "h100-train image  expected ubuntu22-v2, as the category declares", "ubuntu22-v1  4 nodes"
        )
        await at.sees("h100-009, h100-010, h100-011, h100-012")


async def test_enter_shows_the_odd_nodes_in_the_fleet_by_a_filter() -> None:
    async with at_the_desk((120, 40)) as at:
        change(at, "h100-003", kernel="6.9")
        await open_drift(at)
        await to_cell(at, "h100-train kernel")
        await at.press(DRIFT_OPEN)
        await at.sees('kernel="6.9"', "1 of 28 nodes", "h100-003")
        assert at.fleet_screen.table.has_focus
        assert list(at.fleet_screen.view.nodes()) == [key("h100-003")]


async def test_of_several_odd_values_the_one_that_is_meant_is_asked_for() -> None:
    async with at_the_desk((120, 40)) as at:
        change(at, "h100-003", kernel="6.9")
        change(at, "h100-004", kernel="6.10")
        change(at, "h100-005", kernel="")
        await open_drift(at)
        await to_cell(at, "h100-train kernel")
        await at.press(DRIFT_OPEN)
        await at.sees("Which kernel?", "every odd value", "unknown")
        await at.press("enter")
        await at.sees("2 of 28 nodes")
        await open_drift(at)
        await to_cell(at, "h100-train kernel")
        await at.press(DRIFT_OPEN, "end", "enter")
        await at.sees("kernel=none", "1 of 28 nodes")


async def test_what_no_field_tells_apart_is_filtered_by_name() -> None:
    async def versions() -> Mapping[NodeKey, Versions]:
        return {key(f"h100-{n:03}"): Versions(vbios="96.2" if n == 7 else "96.1") for n in range(1, 13)}

    async with at_the_desk((120, 40)) as at:
        at.deck.versions = versions
        await open_drift(at)
        await to_cell(at, "h100-train VBIOS")
        await at.press(DRIFT_OPEN)
        await at.sees('name="h100-007"', "1 of 28 nodes")


async def test_space_marks_the_odd_nodes() -> None:
    async with at_the_desk((120, 40)) as at:
        await open_drift(at)
        await to_cell(at, "h100-train image")
        await at.press(DRIFT_MARK)
        await at.sees("4 nodes marked")
        assert at.fleet_screen.table.marks == {key(f"h100-{n:03}") for n in range(9, 13)}


async def test_a_cell_in_which_all_agree_says_so() -> None:
    async with at_the_desk((120, 40)) as at:
        await open_drift(at)
        await at.press("up", "up", "up", DRIFT_OPEN)
        await at.sees("all of these nodes agree")
        await at.press(DRIFT_BACK)
        await at.sees_no("expected")


async def test_versions_that_can_not_be_read_are_said_and_the_rest_is_compared() -> None:
    async def versions() -> Mapping[NodeKey, Versions]:
        raise Unreachable("no answer from it", about="http://prometheus")

    async with at_the_desk((120, 40)) as at:
        at.deck.versions = versions
        await open_drift(at)
        await at.sees("not read: versions of GPUs: ", "nobody tells: VBIOS", "ubuntu22-v1")


async def test_a_node_that_fails_again_and_again_is_named_and_its_timeline_a_key_away() -> None:
    async with at_the_desk((120, 40)) as at:
        await drain_twice(at, "h100-001")
        await open_drift(at)
        await at.press(DRIFT_TURN)
        await at.sees("Repeat offenders", "h100-001", "2 drains", "h100-007", "1 failed gate, 1 XID")
        await at.press("down", DRIFT_OPEN)
        await at.sees("Timeline of h100-001", "drain began: fan swap")


async def test_the_pane_of_a_node_says_what_it_did_and_what_happened_last() -> None:
    async with at_the_desk((160, 50)) as at:
        await drain_twice(at, "h100-001")
        await at.press(OPEN)
        await at.sees("2 drains in 30 days", "drain ended: done")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_hostile_versions_are_painted_as_texts(size: tuple[int, int]) -> None:
    async with at_the_desk(size) as at:
        hostile = "[bold]v[/]\x1b[31m" + "9" * 40_000
        lab = at.fleet.lab
        lab.change(key("h100-001"), software=Software(hostile, hostile, hostile, hostile, hostile, hostile))
        lab.show(key("h100-001"))
        await open_drift(at)
        await to_cell(at, "h100-train driver")
        await at.sees("[bold]v[/]")
        assert "\x1b" not in at.text()


async def test_every_column_is_reached_on_a_narrow_terminal() -> None:
    async with at_the_desk((80, 24)) as at:
        await open_drift(at)
        await at.sees("more to the right")
        for _ in range(12):
            await at.press("right")
        await at.sees("GPU model  expected", "more to the left")
