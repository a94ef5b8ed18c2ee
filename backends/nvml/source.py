"""This host as a fleet of one node: its feed, its telemetry, and a reader for plans. There is no writer: nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from backends.nvml.convert import SOURCE, Here, node_of, rows_of
from backends.nvml.host import NvmlHost
from fleet.errors import Denied, FleetError, Garbled
from fleet.feeds import FeedHealth, FeedState
from fleet.gpu_rows import node_from_gpus
from fleet.joining import host_of
from fleet.node import Node, NodeKey, Readiness
from fleet.observation import FeedChanged, Listed, NodeSeen
from fleet.plan import NodeFacts, Permission, SourceIdentity, Verb
from fleet.ports import Clock, Report, TelemetryRead
from fleet.telemetry import GpuTelemetry

FEED = "nodes"


class NvmlTelemetry:
    """`fleet.ports.TelemetrySource` of this host alone."""

    name = SOURCE

    def __init__(self, host: NvmlHost, here: Here, clock: Clock) -> None:
        self._host = host
        self._here = here
        self._clock = clock
        self._told: dict[
            str, tuple[int, int]
        ] = {}  # an XID and how many there were, by UUID, of the child there is now
        self._heard: dict[str, tuple[int, datetime]] = {}

    async def by_node(self) -> TelemetryRead:
        """This host. Raises FleetError."""
        rows = await self._rows()
        return TelemetryRead({self._here.name: node_from_gpus(rows, self._clock.now())})

    async def by_gpu(self, names: Collection[str]) -> Mapping[str, Sequence[GpuTelemetry]]:
        """This host's rows, if it is among those named. Raises FleetError."""
        asked = [name for name in names if host_of(name) == host_of(self._here.name)]
        if not asked:
            return {}
        return dict.fromkeys(asked, await self._rows())

    async def _rows(self) -> Sequence[GpuTelemetry]:
        """The rows of a reading, with the last XID of each GPU and when it was first told here."""
        read, at = await self._host.read(), self._clock.now()
        for gpu in read.gpus:
            if gpu.xid is not None and (gpu.xid, gpu.xids) != self._told.get(gpu.uuid):
                self._told[gpu.uuid] = gpu.xid, gpu.xids
                self._heard[gpu.uuid] = gpu.xid, at
        return rows_of(read, at, self._heard)


class NvmlNodes:
    """The feed `nodes`: this host as NVML shows it, asked every so often. When NVML falls silent, so does the node."""

    def __init__(
        self, host: NvmlHost, here: Here, clock: Clock, *, every: timedelta = timedelta(seconds=5)
    ) -> None:
        self._host = host
        self._here = here
        self._clock = clock
        self._every = every
        self._seen: Node | None = None
        self._state = FeedState(SOURCE, FEED, FeedHealth.STARTING, clock.now())

    async def follow(self, report: Report) -> None:
        """Report until cancelled."""
        report([FeedChanged(self._state)])
        while True:
            await self.one_round(report)
            await self._clock.sleep(self._every)

    async def one_round(self, report: Report) -> None:
        """One reading and what it leads to."""
        now = self._clock.now()
        try:
            node = node_of(await self._host.read(), self._here)
        except FleetError as error:
            self._turn(_health_of(error), now, why=str(error))
            if self._seen is not None:
                report([NodeSeen(replace(self._seen, readiness=Readiness.UNKNOWN))])
        else:
            self._seen = node
            self._turn(FeedHealth.LIVE, now, heard=now)
            report([NodeSeen(node), Listed(SOURCE, frozenset((node.key.name,)))])
        report([FeedChanged(self._state)])

    def _turn(
        self, health: FeedHealth, now: datetime, *, heard: datetime | None = None, why: str = ""
    ) -> None:
        since = self._state.since if health is self._state.health else now
        self._state = replace(
            self._state, health=health, since=since, heard=heard or self._state.heard, why=why
        )


class NvmlReader:
    """`fleet.ports.Reader` of this host. Every verb is refused: there is nobody to give it to."""

    source = SOURCE

    def __init__(self, host: NvmlHost, here: Here) -> None:
        self._host = host
        self._here = here

    async def identity(self) -> SourceIdentity:
        """This machine. Raises FleetError where NVML can't be read."""
        await self._host.read()
        return SourceIdentity(SOURCE, self._here.machine, f"this host, {self._here.name}")

    async def read(self, nodes: Sequence[NodeKey], *, work: bool = True) -> Mapping[NodeKey, NodeFacts]:
        """This host, if it is asked for. What runs on it beside its GPUs' processes is not known. Raises FleetError."""
        if self._here.key not in nodes:
            return {}
        return {self._here.key: NodeFacts(node_of(await self._host.read(), self._here))}

    async def allowed(self, verbs: Sequence[Verb]) -> Mapping[Verb, Permission]:
        return dict.fromkeys(verbs, Permission.NOBODY)


def _health_of(error: FleetError) -> FeedHealth:
    if isinstance(error, Denied):
        return FeedHealth.DENIED
    return FeedHealth.GARBLED if isinstance(error, Garbled) else FeedHealth.UNREACHABLE
