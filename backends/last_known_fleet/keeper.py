"""The last known fleet as a feed: it tells what an earlier run saw, and keeps what this one sees.

A source is kept when it was listed in this run: at most every half minute where something changed, and at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backends.last_known_fleet.codec import Header, KeptNode
from backends.last_known_fleet.files import KeptFiles
from backends.last_known_fleet.recall import KeptSource, Recall
from fleet.errors import FleetError, Garbled
from fleet.ports import Clock, Report
from fleet.row import FleetRow
from fleet.store import FleetStore

EVERY = timedelta(seconds=30)
UNCHANGED_FOR = timedelta(minutes=10)
"""After which the file is written anew though nothing changed, so that its time does not look old after a crash."""


@dataclass(frozen=True, slots=True)
class _Saved:
    rows: Sequence[FleetRow]
    seen: datetime


class LastKnownFleet:
    """A `fleet.ports.Feed` over the sources of a fleet. `hear` is told of every change of the store.

    `remark` takes one line for the operator where a file is of no use or can't be written; each is said once.
    """

    def __init__(
        self,
        files: KeptFiles,
        sources: Sequence[KeptSource],
        store: FleetStore,
        clock: Clock,
        remark: Callable[[str], None],
    ) -> None:
        self._files = files
        self._sources = tuple(sources)
        self._store = store
        self._clock = clock
        self._remark = remark
        self._remarked: set[str] = set()
        self._change: asyncio.Future[None] | None = None
        self._saved: dict[str, _Saved] = {}
        self._identities: dict[str, str] = {}

    def hear(self) -> None:
        """The store changed. Cheap: it may come thousands of times a second."""
        if self._change is not None and not self._change.done():
            self._change.set_result(None)

    async def follow(self, report: Report) -> None:
        """Tell what is kept, and keep what is seen, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kept in self._sources:
                group.create_task(self._recall(kept, report))
            group.create_task(self._keep())

    async def close(self) -> None:
        """Keep what was seen last."""
        for kept in self._sources:
            await self._save(kept)

    async def one_round(self) -> None:
        """Keep each source that changed since it was last kept."""
        for kept in self._sources:
            if self._due(kept) and kept.source not in self._identities:
                await self._identify(kept)
            await self._save(kept)

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(EVERY)
            await self.one_round()

    async def _recall(self, kept: KeptSource, report: Report) -> None:
        try:
            await Recall(kept, self._store, self._clock, report, self._changed).tell(self._files)
        except Garbled as error:
            self._say(f"no last known fleet: {error}")

    async def _changed(self) -> None:
        if self._change is None or self._change.done():
            self._change = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._change)

    def _due(self, kept: KeptSource) -> bool:
        return kept.source not in self._store.last_known and self._heard(kept) is not None

    def _heard(self, kept: KeptSource) -> datetime | None:
        """When the nodes of a source were last heard of; None where they were not in this run."""
        states = self._store.feed_states()
        return next(
            (state.heard for state in states if (state.source, state.name) == (kept.source, "nodes")), None
        )

    async def _identify(self, kept: KeptSource) -> None:
        """Which cluster it is, once; without it the file is known by its address."""
        try:
            self._identities[kept.source] = (await kept.identity()).identity
        except FleetError:
            return

    async def _save(self, kept: KeptSource) -> None:
        seen = self._heard(kept)
        if seen is None or not self._due(kept):
            return
        rows = [row for row in self._store.rows() if row.node.key.source == kept.source]
        before = self._saved.get(kept.source)
        identity = self._identities.get(kept.source, "")
        header = Header(kept.source, kept.key, kept.address, identity, seen, len(rows))
        try:
            if await asyncio.to_thread(self._write, header, rows, before):
                self._saved[kept.source] = _Saved(rows, seen)
        except (OSError, Garbled) as error:
            self._say(f"the last known fleet can't be kept: {error}")

    def _write(self, header: Header, rows: Sequence[FleetRow], before: _Saved | None) -> bool:
        """In a thread: whether it was written."""
        if before is not None and _same(before.rows, rows) and header.seen - before.seen < UNCHANGED_FOR:
            return False
        return self._files.write(header, [KeptNode(row.node, row.own_work) for row in rows])

    def _say(self, text: str) -> None:
        if text not in self._remarked:
            self._remarked.add(text)
            self._remark(text)


def _same(one: Sequence[FleetRow], other: Sequence[FleetRow]) -> bool:
    """Whether nothing that is kept differs. Telemetry makes new rows of the same nodes."""
    return len(one) == len(other) and all(
        a.node is b.node and a.own_work is b.own_work for a, b in zip(one, other, strict=True)
    )
