"""What the screens and the headless commands stand on: the fleet's store, the dispatcher, and what opens and closes them.

`tui.wiring` builds one; everybody else is handed it. No screen and no backend is named here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from fleet.dispatch import Dispatcher
from fleet.drill import Drill
from fleet.drill_ground import DrillGround
from fleet.feeds import FeedHealth
from fleet.history import NodeHistory, Span
from fleet.joining import Join
from fleet.node import NodeKey
from fleet.observation import Observation
from fleet.plan import Options, Request, Verb
from fleet.policy import Policy
from fleet.ports import Chronicler, Clock, Journal, Reader
from fleet.remark import Remark
from fleet.runner import OperationRun
from fleet.sightings import Sightings
from fleet.store import FeedKey, FleetStore
from fleet.telemetry import GpuTelemetry
from fleet.trails import Trails
from fleet.version_reading import ReadVersions
from tui.settings import Settings


class FaultDesk(Protocol):
    """The embedded fleet's faults, injected by key. Only the demo has one."""

    @property
    def names(self) -> Sequence[str]: ...

    async def inject(self, fault: str, node: NodeKey) -> str:
        """Break `node` so, and say in words what was done. Raises FleetError."""
        ...

    async def mend(self, node: NodeKey) -> str:
        """Take every injected fault of `node` back. Raises FleetError."""
        ...


Listener = Callable[[], None]

_JOINED_WITHIN = timedelta(seconds=5)


@dataclass(slots=True)
class Deck:
    """One fleet under one operator. `title` names what is looked at; `notice` is said once at the start.

    `by` is who acts (`user@host`); `new_id` gives an operation's id. `follow` runs the feeds until it is cancelled; it never
    raises for
    what fails outside (that is a feed's state). `feeds` are those it will speak of. `by_gpu` reads raw rows of a few nodes, now;
    `history` one node's past, of which `trails` is what was seen here.
    `sightings` remembers how nodes changed meanwhile; `chroniclers` tell of a node's past when asked.
    `versions` asks telemetry for every node's versions, None where there is none.
    `drill_ground` gives a new walk, on a source, ground of its own; None where nothing may be changed. `remarks` wait to be said
    once, as the notice is.
    """

    title: str
    sources: tuple[str, ...]
    feeds: tuple[FeedKey, ...]
    settings: Settings
    policy: Policy
    clock: Clock
    store: FleetStore
    dispatcher: Dispatcher
    journal: Journal
    by: str
    new_id: Callable[[], str]
    follow: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    by_gpu: Callable[[Collection[NodeKey]], Awaitable[Mapping[NodeKey, Sequence[GpuTelemetry]]]]
    history: Callable[[NodeKey, Span], Awaitable[NodeHistory]] | None = None
    trails: Trails | None = None
    readers: Mapping[str, Reader] = field(default_factory=dict)
    joined: Callable[[], Join | None] | None = None
    simulated: bool = False
    notice: str = ""
    faults: FaultDesk | None = None
    examiners: Mapping[str, Callable[[], Awaitable[Sequence[Remark]]]] = field(default_factory=dict)
    drill_ground: Callable[[str, Drill], DrillGround] | None = None
    remarks: list[str] = field(default_factory=list)
    sightings: Sightings = field(default_factory=Sightings)
    chroniclers: Sequence[Chronicler] = ()
    versions: ReadVersions | None = None
    _fleet_listeners: list[Listener] = field(default_factory=list)
    _run_listeners: list[Callable[[OperationRun], None]] = field(default_factory=list)
    _replaceable: tuple[int, bool] = (-1, False)  # of how many nodes it was asked, and whether one is

    @property
    def provisions(self) -> bool:
        """Whether new nodes can be made: on a simulated fleet, and where there are nodes without a machine (KWOK)."""
        if self._replaceable[0] != len(self.store):
            found = any(row.node.replaceable for row in self.store.rows())
            self._replaceable = (len(self.store), found)
        return self.simulated or self._replaceable[1]

    def request(
        self, verb: Verb, nodes: Sequence[NodeKey], reason: str, options: Options | None = None
    ) -> Request:
        """A request by this operator, with an id of its own."""
        return Request(verb, tuple(nodes), self.by, reason, self.new_id(), options or Options())

    def report(self, observations: Sequence[Observation]) -> None:
        """Where every feed reports: into the store, and then a word to whoever paints it."""
        before, now = self.store.revision, self.clock.now()
        for observation in observations:
            self.sightings.hear(self.store, observation, now)
            self.store.apply(observation)
        if self.store.revision != before:
            for listener in self._fleet_listeners:
                listener()

    def on_fleet(self, listener: Listener) -> None:
        """Call `listener` after the store changed. It must be cheap: it may come thousands of times a second."""
        self._fleet_listeners.append(listener)

    def on_run(self, listener: Callable[[OperationRun], None]) -> None:
        """Call `listener` after an operation of this program changed."""
        self._run_listeners.append(listener)

    def run_changed(self, run: OperationRun) -> None:
        """What the dispatcher calls."""
        for listener in self._run_listeners:
            listener(run)

    async def known(self, within: timedelta, feeds: Collection[str] = ("nodes",)) -> bool:
        """Follow until each feed of these names has said how it is, or `within` has passed. True if each has.

        Where slurmd's pods tell which nodes are one machine, the nodes are not known before the pods are.
        """
        telling = {FeedKey(rule.kubernetes, "pods") for rule in self.policy.joins if rule.pod_label}
        wanted = {key for key in self.feeds if key.name in feeds or ("nodes" in feeds and key in telling)}
        event = asyncio.Event()
        self.on_fleet(event.set)
        until = self.clock.monotonic() + within.total_seconds()
        while not wanted <= self._spoken():
            left = until - self.clock.monotonic()
            if left <= 0:
                return False
            event.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await event.wait()
        return True

    async def metrics_joined(self, within: timedelta = _JOINED_WITHIN) -> Join | None:
        """Wait, at most `within`, until the metrics have been told for every node that is known.

        They may be read before the nodes are listed. Gives the join as it then is, None where there is no reading.
        """
        if self.joined is None:
            return None
        until = self.clock.monotonic() + within.total_seconds()
        while (join := self.joined()) is None or len(join.names) + len(join.unjoined_nodes) < len(self.store):
            if self.clock.monotonic() >= until:
                break
            await self.clock.sleep(timedelta(seconds=0.05))
        return join

    def _spoken(self) -> set[FeedKey]:
        return {
            FeedKey(state.source, state.name)
            for state in self.store.feed_states()
            if state.health is not FeedHealth.STARTING
        }
