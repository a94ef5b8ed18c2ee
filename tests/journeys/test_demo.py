"""The demo as `make run` opens it: the real backend over HTTP to a simulated fleet in a child, walked by keys."""

from __future__ import annotations

from fleet.node import Admission, NodeKey, Stage
from fleet.row import FleetRow
from tests.driver import Driver, driving
from tui.choice import Choice, DemoChoice
from tui.commands import DRAIN, REIMAGE, RETIRE, UNCORDON
from tui.settings import Settings
from tui.wiring import open_deck

FAST = Choice(Settings(), DemoChoice(nodes=24, seed=1, speed=60.0))


def row(at: Driver, name: str) -> FleetRow:
    source = at.deck.sources[0]
    found = at.deck.store.record(NodeKey(source, name))
    assert found is not None
    return found


def drifted(at: Driver) -> str:
    """A node that is open, ready, and runs another image than is wanted of it."""
    return next(
        found.key.name
        for found in sorted(at.deck.store.rows(), key=lambda found: found.order)
        if found.node.image.drifted
        and found.node.admission is Admission.OPEN
        and found.work
        and found.work.workloads
    )


async def test_a_node_goes_through_its_life_by_keys_on_the_embedded_fleet() -> None:
    async with driving(lambda: open_deck(FAST), FAST.settings, (140, 45)) as at:
        await at.until(lambda: len(at.deck.store) == 24, "the fleet")
        await at.until(lambda: any(found.work for found in at.deck.store.rows()), "its work")
        name = drifted(at)
        wanted = row(at, name).node.image.desired
        await at.select(name)
        await at.press(DRAIN)
        await at.confirm("firmware")
        await at.ended()
        await at.until(lambda: row(at, name).node.stage is Stage.DRAINED, "the drained node")
        await at.press(UNCORDON)
        await at.confirm()
        await at.ended()
        await at.until(lambda: row(at, name).node.admission is Admission.OPEN, "the open node")
        await at.press(REIMAGE)
        await at.confirm("roll", name)
        await at.ended()
        await at.sees(f"reimage {name}: PASS")
        await at.until(lambda: row(at, name).node.image.running == wanted, "the new image")
        await at.press(RETIRE)
        await at.confirm("lease ended", name)
        await at.ended()
        await at.until(lambda: NodeKey(at.deck.sources[0], name) not in at.deck.store, "its end")
