"""The feed of one Slurm cluster: asks for every node and every job, one command at a time, and tells what changed.

Slurm has no watch. The controller is asked again within seconds while something moves, and seldom while nothing does. No answer, an
answer with an error or one without a word leaves the fleet as it was and the feed unreachable: it is never an empty fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from random import Random

from backends.slurm.commands import SlurmCommands
from backends.slurm.controller import ControllerConfig, ask_config
from backends.slurm.convert import Cluster
from backends.slurm.features import NodeReading
from backends.slurm.feed_state import StreamState
from backends.slurm.jobs import ask_jobs
from backends.slurm.pace import MOVES_FOR, Pace
from backends.slurm.reader import SHOW_NODES
from backends.slurm.roster import News, Roster
from backends.slurm.show import NodeLines, whole
from backends.slurm.topology import ask_topology
from fleet.errors import Denied, FleetError, Garbled
from fleet.observation import Observation
from fleet.ports import Clock, Report

CONFIG_EVERY = timedelta(minutes=5)
"""How old the controller's configuration and the topology may be. After a failure they are asked for at once."""
BATCH = 200
_NO_NODES = "No nodes in the system"


class SlurmFeed:
    """A `fleet.ports.Feed` of one cluster: its nodes, and the jobs on them, as the streams `nodes` and `jobs`.

    `cluster` is the name it is known by, where that was not asked now: a controller that says another one is not believed.
    """

    def __init__(
        self,
        commands: SlurmCommands,
        clock: Clock,
        chance: Random,
        *,
        source: str,
        reading: NodeReading,
        cluster: str = "",
    ) -> None:
        self._commands = commands
        self._clock = clock
        self._source = source
        self._named = cluster
        self._lines = NodeLines()
        self._roster = Roster(source, reading)
        self._pace = Pace(chance)
        self._cluster: Cluster | None = None
        self._asked = 0.0
        self._moved_at: float | None = None

    async def follow(self, report: Report) -> None:
        """Report until cancelled. Failures are the streams' states."""
        nodes = StreamState(self._source, "nodes", self._clock, report)
        jobs = StreamState(self._source, "jobs", self._clock, report)
        while True:
            await self._clock.sleep(await self.one_round(report, nodes, jobs))

    async def one_round(self, report: Report, nodes: StreamState, jobs: StreamState) -> timedelta:
        """Ask once for everything, tell what changed, and give the pause until the next time."""
        began = self._clock.monotonic()
        try:
            cluster = await self._known()
            news = await self._nodes(cluster)
        except FleetError as error:
            self._cluster = None
            nodes.failed(error)
            jobs.failed(error)
            return self._pace.after_failure()
        await _tell(report, news.observations)
        nodes.heard(_note(cluster.config))
        try:
            work = self._roster.work(await ask_jobs(self._commands))
        except FleetError as error:
            jobs.failed(error)
        else:
            await _tell(report, work)
            jobs.heard("PrivateData hides the jobs of others" if "jobs" in cluster.config.private else "")
        took = timedelta(seconds=self._clock.monotonic() - began)
        return self._pace.after(took, moving=self._moving(news))

    async def _nodes(self, cluster: Cluster) -> News:
        text = await self._commands.read(*SHOW_NODES)
        return await asyncio.to_thread(self._digest, text, cluster)

    def _digest(self, text: str, cluster: Cluster) -> News:
        """In a thread: ten thousand nodes take a while. Raises Denied, Garbled where there is no node."""
        shown = self._lines.read(whole(text))
        if not shown:
            if "nodes" in cluster.config.private:
                raise Denied("PrivateData hides the nodes from this user", about=" ".join(SHOW_NODES))
            if _NO_NODES not in text:
                raise Garbled("neither a node nor an error was shown", about=" ".join(SHOW_NODES))
        return self._roster.nodes(shown, cluster)

    async def _known(self) -> Cluster:
        now = self._clock.monotonic()
        if self._cluster is None or now - self._asked > CONFIG_EVERY.total_seconds():
            config = await ask_config(self._commands)
            if self._named and config.cluster != self._named:
                says = f"it is the cluster {config.cluster} now, not {self._named}: leave, and open it anew"
                raise Garbled(says, about=self._source)
            self._cluster = Cluster(config, await ask_topology(self._commands, config))
            self._asked = now
        return self._cluster

    def _moving(self, news: News) -> bool:
        now = self._clock.monotonic()
        if news.moved:
            self._moved_at = now
        lately = self._moved_at is not None and now - self._moved_at < MOVES_FOR.total_seconds()
        return lately or news.under_way


def _note(config: ControllerConfig) -> str:
    """What is amiss with a feed that is live."""
    return f"slurm.conf here is not the controller's: {config.hash_differs}" if config.hash_differs else ""


async def _tell(report: Report, observations: Sequence[Observation]) -> None:
    """Report in small batches, letting others in between."""
    for start in range(0, len(observations), BATCH):
        report(observations[start : start + BATCH])
        await asyncio.sleep(0)
