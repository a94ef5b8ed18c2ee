"""A dashboard that opens on a cluster which does not answer: what it shows of it, what it refuses, and how it goes live."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from fleet.errors import Blocked
from fleet.feeds import FeedHealth, FeedState
from fleet.observation import FeedChanged, LastKnown, NodeSeen, TelemetrySeen
from fleet.plan import Verb
from tests import builders
from tests.driver import Driver, at_the_desk, driving
from tests.fakes import SOURCE
from tests.journeys.served import Served, quarterdeck, serve
from tui.choice import Choice, DemoChoice
from tui.commands import CORDON, OPEN
from tui.deck import Deck
from tui.settings import KubernetesSettings, Settings
from tui.wiring import open_deck


def cut_off(at: Driver, source: str = SOURCE) -> None:
    """Show a source's nodes as an earlier run saw them, two hours before, and let nobody answer."""
    now = at.deck.clock.now()
    failed = FeedState(
        source, "nodes", FeedHealth.UNREACHABLE, now, None, "https://lab:6443: connection refused"
    )
    keys = [key for key in at.deck.store.rows_by_key if key.source == source]
    at.deck.report([LastKnown(source, now - timedelta(hours=2)), FeedChanged(failed)])
    at.deck.report([TelemetrySeen(key, None) for key in keys])


async def test_the_header_and_every_row_say_that_it_is_last_known() -> None:
    async with at_the_desk() as at:
        cut_off(at)
        await at.sees("last known 01:00 UTC, 2h ago: connection refused")
        await at.sees("? last known 2h ago · not re")
        shown = [line for line in at.text().splitlines() if "l40s-00" in line]
        assert shown
        assert all("last known 2h ago" in line for line in shown)


async def test_a_verb_on_a_last_known_node_is_answered_with_the_reason() -> None:
    async with at_the_desk() as at:
        cut_off(at)
        await at.select("h100-001")
        await at.press(CORDON)
        await at.sees(f"Cordon: the nodes of {SOURCE} are only last known: wait until it answers")
        await at.press(OPEN)
        await at.sees(f"last known 2h ago: {SOURCE} has not answered since")


async def test_of_two_sources_the_one_that_is_down_is_named_and_the_other_is_as_ever() -> None:
    async with at_the_desk() as at:
        at.deck.report([NodeSeen(builders.node("dr-001", source="dr", category="h100-train"))])
        cut_off(at, "dr")
        await at.sees("last known 01:00 UTC, 2h ago: connection refused", "dr-001")
        await at.sees("? last known 2h ago")
        lines = at.text().splitlines()
        assert ["last known" in line for line in lines if "dr-001" in line] == [True]
        assert not any("last known" in line for line in lines if "h100-001" in line)
        await at.select("h100-001")
        await at.press(CORDON)
        await at.planned()


def prod(folder: Path, fleet: Served) -> Choice:
    """The served fleet as a cluster of its own name: one that is called simulated is not kept."""
    file = folder / "prod"
    file.write_text(Path(fleet.kubeconfig).read_text().replace('"simulated"', '"prod"'))
    return Choice(Settings(kubernetes=KubernetesSettings(kubeconfig=file)))


def kept() -> list[Path]:
    return sorted((Path(os.environ["XDG_STATE_HOME"]) / "quarterdeck").glob("last-known/*.fleet"))


async def remembering(choice: Choice) -> Deck:
    return await open_deck(choice, remembers=True)


async def test_a_fleet_that_was_seen_is_shown_marked_when_its_cluster_is_down_and_then_live(
    tmp_path: Path,
) -> None:
    with serve(tmp_path, "--nodes", "12") as fleet:
        choice = prod(tmp_path, fleet)
        port = fleet.kubernetes.rpartition(":")[2]
        async with driving(lambda: remembering(choice), choice.settings, (120, 40)) as at:
            await at.until(lambda: len(at.deck.store) == 12, "the fleet")
            await at.until(lambda: all(row.work for row in at.deck.store.rows()), "its work")
    (file,) = kept()
    assert file.name.startswith("prod-")
    listed = quarterdeck("--kubeconfig", str(choice.settings.kubernetes.kubeconfig), "nodes", "--json")
    assert (listed.code, listed.out) == (4, ""), "a command takes no memory for the fleet"
    async with driving(lambda: remembering(choice), choice.settings, (120, 40)) as at:
        await at.sees("last known", "of 12 in service", "refused")
        assert {row.telemetry for row in at.deck.store.rows()} == {None}
        key = next(iter(at.deck.store.rows_by_key))
        with pytest.raises(Blocked, match="only last known"):
            await at.deck.dispatcher.plan(at.deck.request(Verb.DRAIN, [key], "test"))
        with serve(tmp_path, "--nodes", "12", "--port", port):
            await at.until(lambda: not at.deck.store.last_known, "the live fleet")
            await at.sees_no("last known")


async def test_a_demo_neither_keeps_nor_shows_what_was_last_known() -> None:
    choice = Choice(Settings(), DemoChoice(nodes=10))
    async with driving(lambda: remembering(choice), choice.settings, (120, 40)) as at:
        await at.until(lambda: len(at.deck.store) == 10, "the fleet")
    assert kept() == []


async def test_a_fleet_is_not_kept_where_that_is_turned_off(tmp_path: Path) -> None:
    with serve(tmp_path, "--nodes", "5") as fleet:
        kubernetes = prod(tmp_path, fleet).settings.kubernetes
        choice = Choice(Settings(kubernetes=kubernetes, last_known=False))
        async with driving(lambda: remembering(choice), choice.settings, (120, 40)) as at:
            await at.until(lambda: len(at.deck.store) == 5, "the fleet")
    assert kept() == []
