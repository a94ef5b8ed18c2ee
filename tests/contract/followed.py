"""A simulated cluster, followed by the real feeds into a real store, with a hand on everything that can go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from backends.kubernetes.connection import Api
from backends.kubernetes.feeds import feeds_of
from backends.kubernetes.kubeconfig import Access, User
from backends.kubernetes.node_keys import NodeKeys
from backends.simulated.objects import NODES, Json
from backends.simulated.serve import Simulation, serve
from fleet.feeds import FeedHealth, FeedState
from fleet.node import NodeKey
from fleet.observation import FeedChanged, Observation
from fleet.row import FleetRow
from fleet.store import FleetStore
from tests.clocks import ManualClock

STEP = timedelta(milliseconds=250)


@dataclass(slots=True)
class Followed:
    """What a test holds: the simulation, the store that the feeds fill, and every state the feeds went through."""

    simulation: Simulation
    clock: ManualClock
    store: FleetStore
    states: list[FeedState] = field(default_factory=list)

    def report(self, observations: Sequence[Observation]) -> None:
        self.states += [seen.state for seen in observations if isinstance(seen, FeedChanged)]
        self.store.apply_all(observations)

    def state(self, name: str = "nodes") -> FeedState:
        """The feed's state now."""
        return next(state for state in self.store.feed_states() if state.name == name)

    def health(self, name: str = "nodes") -> FeedHealth | None:
        return next((state.health for state in self.store.feed_states() if state.name == name), None)

    def went_through(self, name: str = "nodes") -> list[FeedHealth]:
        """The healths that the feed had, one after the other."""
        healths = [state.health for state in self.states if state.name == name]
        return [each for number, each in enumerate(healths) if number == 0 or each is not healths[number - 1]]

    def row(self, name: str) -> FleetRow:
        found = self.store.record(NodeKey("sim", name))
        assert found is not None, name
        return found

    @property
    def names(self) -> list[str]:
        return sorted(key.name for key in (row.key for row in self.store.rows()))

    def edit(self, name: str, change: Callable[[Json], None]) -> None:
        """Change a Node as somebody else would."""
        self.simulation.store.update(NODES, name, change)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Let requests be answered and time pass until `condition` holds."""
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0.002)
            await self.clock.advance(STEP)
        raise AssertionError(f"never so: {what}; feeds: {self.store.feed_states()}")

    async def until_live(self) -> None:
        """Both feeds have their list and watch from there."""
        live = [FeedHealth.LIVE, FeedHealth.LIVE]
        await self.until(
            lambda: (
                [self.health("nodes"), self.health("pods")] == live and self.simulation.api.open_watches == 2
            ),
            "both feeds are live",
        )


@asynccontextmanager
async def followed(
    *,
    nodes: int = 6,
    silence: timedelta = timedelta(seconds=20),
    before: Callable[[Simulation], None] | None = None,
) -> AsyncIterator[Followed]:
    """Follow a simulated fleet for as long as the block lasts. `before` may break it before it is first asked."""
    clock = ManualClock()
    async with serve(clock, nodes=nodes, seed=4) as simulation:
        if before is not None:
            before(simulation)
        access = Access("sim", simulation.kubernetes_url, user=User(token="anybody"))
        api = Api(access, source="sim", clock=clock, environ={})
        here = Followed(simulation, clock, FleetStore())
        feeds = feeds_of(api, NodeKeys(), clock=clock, chance=Random(1), silence=silence)  # noqa: S311
        tasks = [asyncio.create_task(feed.follow(here.report)) for feed in feeds]
        try:
            yield here
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await api.close()
            failed = [error for error in ended if not isinstance(error, asyncio.CancelledError)]
            assert not failed, failed
