"""Authoritative reads of one Slurm cluster, for plans and for the checks before each step: asked now, never from the feed.

A few nodes are asked for by name; of many, the whole list costs the controller less than their names.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from backends.slurm.commands import SlurmCommands
from backends.slurm.controller import ControllerConfig, ask_config
from backends.slurm.convert import Cluster, node_of, seen_of, version_of
from backends.slurm.errors import nodes_not_found, translate
from backends.slurm.features import NodeReading
from backends.slurm.jobs import Job, ask_jobs, ask_shares, placements_of
from backends.slurm.locks import DETECTED, ask_locks
from backends.slurm.seen import Seen, not_to_close, not_to_open
from backends.slurm.show import Shown, read_nodes, whole
from backends.slurm.topology import ask_topology
from fleet.errors import Denied, Rejected, Unreachable
from fleet.lock import Lock
from fleet.node import Admission, NodeKey
from fleet.plan import Blocker, NodeFacts, Permission, SourceIdentity, Verb
from fleet.ports import Clock

FEW = 300
"""Up to so many nodes are asked for by name."""
CONFIG_KEPT = 60.0
"""Seconds for which the controller's configuration and the topology are not asked for again."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_ROOT = 0
NO_LOCK = f"Slurm may refuse this user its lock (a reservation): {DETECTED}"


class SlurmReader:
    """A `fleet.ports.Reader` of one cluster. `seen` is the look that the writer reads nodes back with.

    `uid` is who runs the commands, as Slurm knows it; this program's own user where it is not given.
    """

    def __init__(
        self,
        commands: SlurmCommands,
        clock: Clock,
        *,
        source: str,
        reading: NodeReading | None = None,
        uid: int | None = None,
    ) -> None:
        self._commands = commands
        self._clock = clock
        self._source = source
        self._reading = reading or NodeReading()
        self._uid = os.geteuid() if uid is None else uid
        self._cluster: Cluster | None = None
        self._asked = 0.0

    @property
    def source(self) -> str:
        return self._source

    async def identity(self) -> SourceIdentity:
        """The cluster by its ClusterName and the host of its controller, asked now. Raises FleetError."""
        config = await self.config()
        return SourceIdentity(self._source, config.identity, config.controller)

    async def config(self) -> ControllerConfig:
        """The controller's configuration, asked now. Raises FleetError."""
        return await ask_config(self._commands)

    async def read(self, nodes: Sequence[NodeKey], *, work: bool = True) -> Mapping[NodeKey, NodeFacts]:
        """Facts of the nodes that are there; without `work` no job is asked for. Raises FleetError."""
        wanted = tuple(dict.fromkeys(key for key in nodes if key.source == self._source))
        found = await self._show([key.name for key in wanted])
        if not found:
            return {}
        cluster = await self._known()
        jobs: list[Job] = []
        shares: Mapping[tuple[str, str], int] = {}
        locks: Mapping[str, Lock] = {}
        if work:
            locks = await self.locks()
            jobs = [
                job
                for job in await ask_jobs(self._commands, tuple(found))
                if not found.keys().isdisjoint(job.nodes)
            ]
            shares = await ask_shares(self._commands, jobs)
        return {
            key: replace(
                self._facts(found[key.name], cluster, jobs, shares),
                lock=locks.get(key.name),
                no_lock="" if self._may(cluster.config) is Permission.ALLOWED else NO_LOCK,
            )
            for key in wanted
            if key.name in found
        }

    async def locks(self) -> Mapping[str, Lock]:
        """Whose turn it is on which node. None where reservations may not be looked at. Raises Unreachable, Garbled."""
        try:
            return await ask_locks(self._commands)
        except (Denied, Rejected):
            return {}

    async def seen(self, names: Sequence[str]) -> Mapping[str, Seen]:
        """Nodes as a change of them must know them; one that is not there is left out. Raises FleetError."""
        return {name: seen_of(shown) for name, shown in (await self._show(names)).items()}

    async def allowed(self, verbs: Sequence[Verb]) -> Mapping[Verb, Permission]:
        """Root and SlurmUser may; so may whom slurmdbd made an Administrator, which can't be told. Raises FleetError."""
        may = self._may((await self._known()).config)
        return {verb: Permission.DENIED if verb is Verb.PROVISION else may for verb in verbs}

    def _may(self, config: ControllerConfig) -> Permission:
        if self._uid in (_ROOT, config.slurm_uid):
            return Permission.ALLOWED
        return Permission.UNKNOWN if config.has_accounting else Permission.DENIED

    def _facts(
        self, shown: Shown, cluster: Cluster, jobs: Sequence[Job], shares: Mapping[tuple[str, str], int]
    ) -> NodeFacts:
        node, seen = node_of(shown, self._source, self._reading, cluster), seen_of(shown)
        return NodeFacts(
            node=node,
            version=version_of(shown),
            unschedulable=node.admission is not Admission.OPEN,
            placements=placements_of(shown.name, jobs, shares),
            no_close=_blocker(node.key, not_to_close(seen)),
            no_open=_blocker(node.key, not_to_open(seen)),
        )

    async def _show(self, names: Sequence[str]) -> Mapping[str, Shown]:
        """The nodes of these names that are there."""
        wanted = {name for name in names if _NAME.match(name) and name.upper() != "ALL"}
        if not wanted:
            return {}
        if len(wanted) > FEW:
            shown = await asyncio.to_thread(read_nodes, whole(await self._commands.read(*SHOW_NODES)))
        else:
            shown = read_nodes(await self._named(sorted(wanted)))
        return {each.name: each for each in shown if each.name in wanted}

    async def _named(self, names: Sequence[str]) -> str:
        about = names[0] if len(names) == 1 else f"{len(names)} nodes ({names[0]} ...)"
        done = await self._commands.ask("scontrol", "show", "node", "-o", "-d", ",".join(names), about=about)
        missing = nodes_not_found(done) if done.rc else ()
        if done.rc and not missing:
            raise translate(done, about=about)
        if not done.out.strip():
            raise Unreachable("the controller said nothing of it", about=about)
        whole(done.out)
        gone = {f"Node {name} not found" for name in missing if name in names}
        return "\n".join(line for line in done.out.split("\n") if line not in gone)

    async def _known(self) -> Cluster:
        """The cluster's configuration and topology, asked again once they are old."""
        now = self._clock.monotonic()
        if self._cluster is None or now - self._asked > CONFIG_KEPT:
            config = await self.config()
            self._cluster = Cluster(config, await ask_topology(self._commands, config))
            self._asked = now
        return self._cluster


def _blocker(node: NodeKey, why: tuple[str, str] | None) -> Blocker | None:
    return None if why is None else Blocker(node, why[0], why[1])


SHOW_NODES = ("scontrol", "show", "nodes", "-o", "-d")
"""The one command that shows every node."""
