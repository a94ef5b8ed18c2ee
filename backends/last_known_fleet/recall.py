"""Tells what an earlier run saw of a source, until the source answers for itself.

What is told is marked by `LastKnown` and gives way to everything live: it adds only nodes that are not known yet, a complete list
takes away what is not there any more, and work that nobody confirms is unknown again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from backends.last_known_fleet.codec import Header, KeptNode
from backends.last_known_fleet.files import KeptFiles
from fleet.errors import FleetError
from fleet.feeds import FeedHealth, FeedState
from fleet.node import NodeKey
from fleet.observation import LastKnown, NodeGone, NodeSeen, Observation, WorkSeen
from fleet.plan import SourceIdentity
from fleet.ports import Clock, Report
from fleet.store import FleetStore

BATCH = 100
"""Nodes told at a time: some milliseconds of a store's work."""
WORK_WITHIN = timedelta(seconds=3)
"""How long after the nodes the work on them may stay unconfirmed."""


@dataclass(frozen=True, slots=True)
class KeptSource:
    """A source whose nodes are kept. `key` tells it from every other, also while nobody answers there.

    `address` says to people where it is; `identity` asks the cluster which one it is. Raises FleetError.
    """

    source: str
    key: str
    address: str
    identity: Callable[[], Awaitable[SourceIdentity]]


class Recall:
    """What is told of one source. `changed` returns after the store's next change."""

    def __init__(
        self,
        kept: KeptSource,
        store: FleetStore,
        clock: Clock,
        report: Report,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._kept = kept
        self._store = store
        self._clock = clock
        self._report = report
        self._changed = changed

    async def tell(self, files: KeptFiles) -> None:
        """Tell what is kept, and return once nothing on screen rests on it. Raises Garbled for a file that can't be read."""
        found = await asyncio.to_thread(files.read, self._kept.key, self._kept.source)
        if found is None or self._health("nodes") is FeedHealth.LIVE:
            return
        header, nodes = found
        self._report([LastKnown(self._kept.source, header.seen)])
        await self._in_batches([kept for kept in nodes if self._is_ours(kept)], self._unseen)
        if await self._until_listed(header):
            await self._clock.sleep(WORK_WITHIN)
            if self._health("pods", "jobs") is not FeedHealth.LIVE:
                await self._in_batches(nodes, self._unconfirmed)

    def _is_ours(self, kept: KeptNode) -> bool:
        return kept.node.key.source == self._kept.source

    async def _in_batches(
        self, nodes: Sequence[KeptNode], told: Callable[[Sequence[KeptNode]], Iterator[Observation]]
    ) -> None:
        for start in range(0, len(nodes), BATCH):
            if observations := list(told(nodes[start : start + BATCH])):
                self._report(observations)
            await asyncio.sleep(0)

    def _unseen(self, nodes: Sequence[KeptNode]) -> Iterator[Observation]:
        """Nodes that are not known yet; none once the source was listed."""
        if self._kept.source not in self._store.last_known:
            return
        work_is_live = self._health("pods", "jobs") is FeedHealth.LIVE
        for kept in nodes:
            if kept.node.key not in self._store:
                if kept.work is not None and not work_is_live:
                    yield WorkSeen(kept.node.key, kept.work)
                yield NodeSeen(kept.node)

    def _unconfirmed(self, nodes: Sequence[KeptNode]) -> Iterator[Observation]:
        for kept in nodes:
            row = self._store.record(kept.node.key)
            if row is not None and row.own_work is not None and row.own_work is kept.work:
                yield WorkSeen(row.key, None)

    async def _until_listed(self, header: Header) -> bool:
        """Wait for a complete list. False where the cluster that answers turned out to be another, and all is forgotten."""
        asked = False
        while self._kept.source in self._store.last_known:
            state = self._state("nodes")
            if not asked and state is not None and state.health is not FeedHealth.STARTING:
                asked = True
                if await self._is_another(header):
                    await self._forget()
                    return False
            await self._changed()
        return True

    async def _is_another(self, header: Header) -> bool:
        """Whether the cluster at this address says that it is another one. Who does not say is taken for the same."""
        try:
            now = await self._kept.identity()
        except FleetError:
            return False
        told = "" in (now.identity, header.identity) or now.server in (now.identity, header.identity)
        return not told and now.identity != header.identity

    async def _forget(self) -> None:
        source = self._kept.source
        keys = [key for key in self._store.rows_by_key if key.source == source]
        for start in range(0, len(keys), BATCH):
            self._report([NodeGone(NodeKey(source, key.name)) for key in keys[start : start + BATCH]])
            await asyncio.sleep(0)
        self._report([LastKnown(source, None)])

    def _health(self, *names: str) -> FeedHealth | None:
        state = self._state(*names)
        return state.health if state is not None else None

    def _state(self, *names: str) -> FeedState | None:
        states = self._store.feed_states()
        return next(
            (state for state in states if state.source == self._kept.source and state.name in names), None
        )
