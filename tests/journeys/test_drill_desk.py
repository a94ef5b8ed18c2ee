"""The drill's screen by its keys, on a fleet of paper: whose node a key is for, what is answered, and what waits to be read."""

from __future__ import annotations

from fleet.drill_standing import Phase
from fleet.drill_walk import DrillWalk
from fleet.node import NodeKey
from tests.driver import Driver
from tests.snapshots.drill_scenes import NODE, drill_scene
from tui.commands import CORDON, DRILL_EXPLAIN, DRILL_NEXT, GATE, REIMAGE
from tui.screens.drill import DrillScreen

OTHER = NodeKey(NODE.source, "a100-001")


def drilling(at: Driver) -> tuple[DrillScreen, DrillWalk]:
    screen = at.app.screen
    assert isinstance(screen, DrillScreen)
    assert screen.walk is not None
    return screen, screen.walk


async def test_the_drills_key_over_another_node_is_answered_and_arranges_nothing() -> None:
    async with drill_scene("in-service", (80, 24)) as at:
        screen, walk = drilling(at)
        screen.table.put_cursor(OTHER)
        await at.press(REIMAGE)
        await at.sees(f"Reimage {OTHER.name}")
        await at.planned()
        assert (walk.at.number, walk.at.phase) == (3, Phase.HOLDS)
        await at.press("escape")
        await at.sees(f"i is right, but this is for {OTHER.name}.")
        assert (walk.at.number, walk.at.phase) == (3, Phase.HOLDS)
        screen.table.put_cursor(NODE)
        await at.press(REIMAGE)
        await at.sees(f"Reimage {NODE.name}")
        assert walk.at.number == 4


async def test_marked_nodes_are_not_the_drills_either() -> None:
    async with drill_scene("gate", (80, 24)) as at:
        screen, _ = drilling(at)
        screen.table.set_marks((OTHER, NODE))
        await at.press(GATE)
        await at.planned()
        await at.press("escape")
        await at.sees("g is right, but this is for 2 nodes.")


async def test_going_on_puts_the_cursor_back_on_the_drills_node() -> None:
    async with drill_scene("in-service", (80, 24)) as at:
        screen, _ = drilling(at)
        screen.table.put_cursor(OTHER)
        await at.press(DRILL_NEXT)
        await at.sees("4 of 5 Patch (1/3)", "your turn")
        assert screen.targets == (NODE,)


async def test_a_wrong_key_between_two_steps_is_told_what_is_waited_for() -> None:
    async with drill_scene("patch", (80, 24)) as at:
        _, walk = drilling(at)
        assert walk.at.phase is Phase.WAITS
        await at.press(CORDON)
        await at.planned()
        await at.press("escape")
        await at.sees("c is Cordon; the drill asks for no key now: it watches.")
    async with drill_scene("wrong-key", (80, 24)) as at:
        await at.sees("u is Uncordon; the drill waits for g: Gate.")
    async with drill_scene("budget", (80, 24)) as at:
        await at.press(CORDON)
        await at.planned()
        await at.press("escape")
        await at.sees("c is Cordon; the drill waits for n: go on.")


async def test_what_is_observed_stays_to_be_read_until_the_operator_goes_on() -> None:
    async with drill_scene("budget", (80, 24)) as at:
        _, walk = drilling(at)
        await walk.look()
        await at.sees("4 of 5 Patch (1/3)", "observed", "drill-budget of the drill holds", "n: go on")
        await at.press(DRILL_NEXT)
        await at.sees("4 of 5 Patch (2/3)", "observing")


async def test_nothing_is_said_to_be_missing_of_a_step_that_was_not_begun() -> None:
    async with drill_scene("begin", (120, 40)) as at:
        await at.press(DRILL_EXPLAIN)
        await at.sees("Why it matters", "will show  pod pending")
        await at.sees_no("controller manager")
