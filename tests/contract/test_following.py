"""What the feeds show of every orchestrator as it changes, and where their place in its history is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from backends.kubernetes.connection import Query
from backends.kubernetes.feeds import feeds_of
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.pods import PodShape
from backends.kubernetes.shapes import NodeShape
from backends.kubernetes.watch import ListWatch
from fleet.feeds import FeedHealth
from fleet.node import Admission, NodeKey
from fleet.observation import Observation
from fleet.plan import Close, Release
from fleet.store import FleetStore
from tests.contract.orchestrator import Orchestrator

LIVE = [FeedHealth.LIVE, FeedHealth.LIVE]


@dataclass(slots=True)
class Shown:
    """Both feeds of an orchestrator, and the store that they fill."""

    orchestrator: Orchestrator
    nodes: ListWatch[NodeShape]
    pods: ListWatch[PodShape]
    store: FleetStore = field(default_factory=FleetStore)

    def report(self, observations: Sequence[Observation]) -> None:
        self.store.apply_all(observations)

    def work(self, key: NodeKey) -> int:
        """The pods that are shown on a node; -1 where that is not known."""
        row = self.store.record(key)
        return row.work.pods if row is not None and row.work is not None else -1

    def admission(self, key: NodeKey) -> Admission | None:
        row = self.store.record(key)
        return row.node.admission if row is not None else None

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        async def so() -> bool:
            return condition()

        await self.orchestrator.settle(so, what)

    async def until_live(self) -> None:
        await self.until(
            lambda: [state.health for state in self.store.feed_states()] == LIVE, "both feeds are live"
        )


def shown_by(orchestrator: Orchestrator) -> Shown:
    """The orchestrator, not followed yet."""
    nodes, pods, _ = feeds_of(orchestrator.api, NodeKeys(), clock=orchestrator.clock, chance=Random(1))  # noqa: S311
    return Shown(orchestrator, nodes, pods)


@asynccontextmanager
async def following(shown: Shown) -> AsyncIterator[None]:
    """Follow for as long as the block lasts, from when both feeds are live."""
    tasks = [asyncio.create_task(feed.follow(shown.report)) for feed in (shown.nodes, shown.pods)]
    try:
        await shown.until_live()
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_node_is_shown_as_it_is_made_closed_opened_and_removed(orchestrator: Orchestrator) -> None:
    old = await orchestrator.node()
    shown = shown_by(orchestrator)
    async with following(shown):
        assert shown.admission(old) is Admission.OPEN
        new = await orchestrator.node()
        await shown.until(lambda: shown.work(new) >= 0, "the new node is shown, with its work")
        await orchestrator.perform(new, Close(orchestrator.hold()))
        await shown.until(lambda: shown.admission(new) is Admission.CORDONED, "it is shown closed")
        row = shown.store.record(new)
        assert row is not None
        assert [hold.by for hold in row.node.holds] == ["oncall"]
        await orchestrator.perform(new, Release((orchestrator.operation,)))
        await shown.until(lambda: shown.admission(new) is Admission.OPEN, "it is shown open")
        await orchestrator.api.send("DELETE", f"/api/v1/nodes/{new.name}")
        await shown.until(lambda: shown.admission(new) is None, "it is gone")
        assert shown.admission(old) is Admission.OPEN


async def test_a_pod_that_ends_is_work_no_longer(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.bare_pod(node, space, "first")
    shown = shown_by(orchestrator)
    async with following(shown):
        found = shown.work(node)
        await orchestrator.bare_pod(node, space, "second")
        await shown.until(lambda: shown.work(node) == found + 1, "the second pod is shown")
        await orchestrator.finish(space, "first")
        await shown.until(lambda: shown.work(node) == found, "the first pod has ended")
        await orchestrator.api.send(
            "DELETE", f"/api/v1/namespaces/{space}/pods/second", b'{"gracePeriodSeconds": 0}'
        )
        await shown.until(lambda: shown.work(node) == found - 1, "the second pod is gone")


async def test_a_version_that_nobody_remembers_leads_to_a_new_list(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    if orchestrator.simulation is not None:
        orchestrator.simulation.api.forget_history()
    shown = shown_by(orchestrator)
    shown.nodes._version = "1"
    async with following(shown):
        assert shown.admission(node) is Admission.OPEN


async def test_a_change_between_the_list_and_the_watch_is_not_lost(
    orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, gone = await orchestrator.node(), await orchestrator.node()
    watch, meddled = orchestrator.api.watch, asyncio.Event()

    async def late(path: str, query: Query = (), **rest: Any) -> AsyncGenerator[bytes, None]:
        if path == "/api/v1/nodes" and not meddled.is_set():
            meddled.set()
            await orchestrator.perform(node, Close(orchestrator.hold()))
            await orchestrator.api.send("DELETE", f"/api/v1/nodes/{gone.name}")
        async with contextlib.aclosing(watch(path, query, **rest)) as lines:
            async for line in lines:
                yield line

    monkeypatch.setattr(orchestrator.api, "watch", late)
    shown = shown_by(orchestrator)
    async with following(shown):
        await shown.until(lambda: shown.admission(node) is Admission.CORDONED, "it is shown closed")
        await shown.until(lambda: shown.admission(gone) is None, "the other is gone")
