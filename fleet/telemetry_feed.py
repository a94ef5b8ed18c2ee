"""Follows a telemetry source: polls it, joins what it says to the known nodes, and lets what grew old be unknown.

Polls never overlap, since one task does them in turn. What a node read last is kept while a source fails, for as long as
it is fresh, and no longer; a source that answers without a node takes its word back at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fleet.errors import Denied, FleetError, Garbled, Throttled
from fleet.feeds import FeedHealth, FeedState
from fleet.gpu_rows import node_from_gpus
from fleet.history import NodeHistory, Span
from fleet.joining import Join, join
from fleet.node import NodeKey
from fleet.observation import AlertsSeen, FeedChanged, Observation, TelemetrySeen
from fleet.ports import Clock, CountsReplays, DatesXids, RemembersGpus, Report, TelemetryRead, TelemetrySource
from fleet.telemetry import REPLAYS_OVER, Alert, GpuTelemetry, NodeTelemetry, Replays
from fleet.trails import Trails

FEED = "gpu"
"""The name of this feed in `FeedState`."""

_TICK = timedelta(seconds=1)
_BATCH = 200  # nodes told at a time: some milliseconds of a store's work
_SLOWEST = 4  # a failing source is asked at least every so many intervals
_WHY_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Readings:
    """What a gate can know of one node's GPUs, read for it now: their sum, their rows, or `why` there are none.

    `replays` are their PCIe replay counters lately, of a source that has a past.
    """

    node: NodeTelemetry | None = None
    gpus: tuple[GpuTelemetry, ...] = ()
    source: str = ""
    why: str = ""
    replays: Replays = field(default_factory=dict)


class TelemetryFeed:
    """The feed `gpu` of one telemetry source, for the nodes that `known` names whenever it is asked.

    `every` is the time from the end of one poll to the next; `fresh` how old a reading may be and still be shown.
    """

    def __init__(
        self,
        source: TelemetrySource,
        known: Callable[[], Collection[NodeKey]],
        clock: Clock,
        *,
        every: timedelta = timedelta(seconds=15),
        fresh: timedelta = timedelta(minutes=2),
    ) -> None:
        self._source = source
        self._known = known
        self._clock = clock
        self._every = every
        self._fresh = fresh
        self._read: TelemetryRead | None = None
        self._join: Join | None = None
        self._told_by: Join | None = None
        self._joined_nodes: frozenset[NodeKey] = frozenset()
        self._read_at = clock.now()
        self._told: dict[NodeKey, NodeTelemetry] = {}
        self._told_alerts: dict[NodeKey, tuple[Alert, ...]] = {}
        self._joined_alerts: tuple[frozenset[str], frozenset[NodeKey], Mapping[NodeKey, str]] | None = None
        self._state = FeedState(source.name, FEED, FeedHealth.STARTING, clock.now(), promises=fresh)
        self._failures = 0
        self.trails = Trails()

    @property
    def state(self) -> FeedState:
        return self._state

    @property
    def key(self) -> tuple[str, str]:
        """Under which the feed's state is kept: (source, name)."""
        return self._source.name, FEED

    def joined(self) -> Join | None:
        """Which series belong to which node by what was last told, with what is left over; None before the first."""
        return self._told_by

    async def follow(self, report: Report) -> None:
        """Poll until cancelled, reporting TelemetrySeen of what changed and FeedChanged."""
        report([FeedChanged(self._state)])
        if not isinstance(self._source, DatesXids):
            await self._poll(report)
            return
        async with (
            asyncio.TaskGroup() as group
        ):  # since when an XID shows is asked for beside, and holds no reading up
            group.create_task(self._poll(report))
            group.create_task(self._date(self._source))

    async def _date(self, source: DatesXids) -> None:
        while True:
            await source.date_xids()
            await self._clock.sleep(_TICK)

    async def _poll(self, report: Report) -> None:
        while True:
            pause = await self.one_round(report)
            end = self._clock.monotonic() + pause.total_seconds()
            while (left := end - self._clock.monotonic()) > 0:
                await self._clock.sleep(min(_TICK, timedelta(seconds=left)))
                if self._read is not None and frozenset(self._known()) != self._joined_nodes:
                    await self._tell(report)

    async def one_round(self, report: Report) -> timedelta:
        """One poll and what it leads to. Returns how long to wait before the next."""
        try:
            self._read = await self._source.by_node()
            self._read_at = self._clock.now()
        except FleetError as error:
            self._failures += 1
            self._turn(_health_of(error), str(error))
            await self._tell(report)
            report([FeedChanged(self._state)])
            asked = error.retry_after if isinstance(error, Throttled) else None
            return max(self._every * min(1 << min(self._failures - 1, 8), _SLOWEST), asked or timedelta())
        self._failures = 0
        await self._tell(report)
        self._turn(FeedHealth.LIVE, self._doubts(), heard=self._clock.now())
        report([FeedChanged(self._state)])
        return self._every

    async def by_gpu(self, keys: Collection[NodeKey]) -> Mapping[NodeKey, Sequence[GpuTelemetry]]:
        """Raw rows of these nodes, read now and remembered; a node that no series joins is left out. Raises FleetError."""
        names = {key: self.name_of(key) for key in keys}
        rows = await self._source.by_gpu(sorted(set(names.values())))
        found = {key: rows[name] for key, name in names.items() if rows.get(name)}
        for key, gpus in found.items():
            self.trails.note_gpus(key, gpus, self._clock.now())
        return found

    async def history(self, key: NodeKey, span: Span) -> NodeHistory:
        """One node's past: the source's where it has one, else as far as it was read here. Raises FleetError."""
        if isinstance(self._source, RemembersGpus):
            return await self._source.history(self.name_of(key), span)
        return self.trails.history(key, span, self._clock.now())

    async def readings(self, key: NodeKey) -> Readings:
        """What the source says of one node now, for a check. A source that can't be read is a reading that says why."""
        name = self._source.name
        try:
            if self._join is None:
                self._read = await self._source.by_node()
                await self._rejoin()
            rows = tuple((await self.by_gpu([key])).get(key, ()))
            if isinstance(self._source, DatesXids):
                rows = tuple(await self._source.dated(self.name_of(key), rows))
        except FleetError as error:
            return Readings(self._told.get(key), (), name, str(error))
        if not rows:
            return Readings(None, (), name, "no series joins this node")
        times = [row.at for row in rows if row.at is not None]
        node = node_from_gpus(rows, min(times)) if times else None
        return Readings(node, rows, name, replays=await self._replays(key, rows))

    async def _replays(self, key: NodeKey, rows: Sequence[GpuTelemetry]) -> Replays:
        """The counters lately, where the source has a past; they are left unknown where it can't tell them."""
        if isinstance(self._source, CountsReplays) and any(row.pcie_replays is not None for row in rows):
            with contextlib.suppress(FleetError):
                return await self._source.replays(self.name_of(key), REPLAYS_OVER)
        return {}

    def name_of(self, key: NodeKey) -> str:
        """The name that a node's series have, as far as it is known; else its own."""
        return self._join.names.get(key, key.name) if self._join is not None else key.name

    async def _rejoin(self) -> Join:
        known = frozenset(self._known())
        names = self._read.nodes if self._read is not None else {}
        if (
            self._join is None
            or known != self._joined_nodes
            or names.keys() != {*self._join.names.values(), *self._join.unjoined_names}
        ):
            beside = len(known) > _BATCH  # ten thousand names take longer than a frame
            self._join = await asyncio.to_thread(join, names, known) if beside else join(names, known)
            if known != self._joined_nodes:
                self.trails.keep(known)
            self._joined_nodes = known
        return self._join

    async def _tell(self, report: Report) -> None:
        """Report what is different from what was told last, a batch at a time, so that the loop breathes between."""
        joined, now = await self._rejoin(), self._clock.now()
        names = joined.names
        nodes = self._read.nodes if self._read is not None else {}
        keys = list({**self._told, **names})
        for first in range(0, len(keys), _BATCH):
            news: list[Observation] = []
            for key in keys[first : first + _BATCH]:
                read = nodes.get(names.get(key, ""))
                if read is not None and now - read.at > self._fresh:
                    read = None
                self.trails.note(key, read, now)
                if self._told.get(key) != read:
                    news.append(TelemetrySeen(key, read))
                    self._remember(key, read)
            if news:
                report(news)
                await asyncio.sleep(0)
        self._told_by = joined
        await self._tell_alerts(report, now)

    async def _tell_alerts(self, report: Report, now: datetime) -> None:
        """Report the alerts of nodes whose alerts are others than were told."""
        alerts = self._read.alerts if self._read is not None and now - self._read_at <= self._fresh else {}
        joined = await self._join_alerts(frozenset(alerts)) if alerts else {}
        told = {key: alerts[name] for key, name in joined.items()}
        news = [
            AlertsSeen(key, told.get(key, ()))
            for key in {**self._told_alerts, **told}
            if told.get(key, ()) != self._told_alerts.get(key, ())
        ]
        self._told_alerts = told
        if news:
            report(news)

    async def _join_alerts(self, names: frozenset[str]) -> Mapping[NodeKey, str]:
        """Nodes by the names that alerts give them, joined by themselves: a node whose series are gone may have the most to say."""
        known, before = self._joined_nodes, self._joined_alerts
        if before is None or before[:2] != (names, known):
            beside = len(known) > _BATCH
            found = await asyncio.to_thread(join, names, known) if beside else join(names, known)
            before = self._joined_alerts = names, known, found.names
        return before[2]

    def _remember(self, key: NodeKey, read: NodeTelemetry | None) -> None:
        if read is None:
            self._told.pop(key, None)
        else:
            self._told[key] = read

    def _turn(self, health: FeedHealth, why: str, heard: datetime | None = None) -> None:
        since = self._state.since if health is self._state.health else self._clock.now()
        self._state = FeedState(
            self._source.name, FEED, health, since, heard or self._state.heard, why, self._fresh
        )

    def _doubts(self) -> str:
        """What an operator should know of a reading that came: warnings, no series at all, none that joins, all too old."""
        if self._read is None or self._join is None:
            return ""
        if self._read.warnings:
            more = len(self._read.warnings) - _WHY_LIMIT
            said = "; ".join(self._read.warnings[:_WHY_LIMIT])
            return f"{said}; and {more} more" if more > 0 else said
        if not self._read.nodes:
            return "it has no GPU series"
        if not self._join.names and self._joined_nodes:
            return f"none of its {len(self._read.nodes)} series names is a node's"
        if not self._told and self._joined_nodes:
            return "its newest samples are too old"
        return ""


def _health_of(error: FleetError) -> FeedHealth:
    if isinstance(error, Denied):
        return FeedHealth.DENIED
    if isinstance(error, Throttled):
        return FeedHealth.THROTTLED
    return FeedHealth.GARBLED if isinstance(error, Garbled) else FeedHealth.UNREACHABLE
