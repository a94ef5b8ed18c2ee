"""What the feed last told of each node, so that it tells only what changed, and of ten thousand nodes converts only those.

A node's boot time wavers by a second or two with each registration; as long as it does no more than that it is the same boot.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from backends.slurm.convert import Cluster, boot_of, node_of, work_of
from backends.slurm.features import NodeReading
from backends.slurm.jobs import Job
from backends.slurm.show import Shown
from backends.slurm.states import read_state
from fleet.health import same_boot
from fleet.node import Node, NodeKey
from fleet.observation import Listed, NodeSeen, Observation, WorkSeen
from fleet.workload import NodeWork, WorkloadId

SHOWN = 200
"""Of one node's jobs no more than this are named."""
_NO_JOBS: Sequence[WorkloadId] = ()


@dataclass(slots=True)
class News:
    """What changed, and whether more is on its way: a node boots, wakes, or has just been closed or opened."""

    observations: list[Observation] = field(default_factory=list)
    moved: bool = False
    under_way: bool = False


@dataclass(frozen=True, slots=True)
class _Told:
    """The work that was told of a node, and what it was made of."""

    shown: Shown
    ids: Sequence[WorkloadId]
    work: NodeWork


class Roster:
    """The nodes of one cluster as they were last told."""

    def __init__(self, source: str, reading: NodeReading) -> None:
        self._source = source
        self._reading = reading
        self._cluster: Cluster | None = None
        self._shown: dict[str, Shown] = {}
        self._nodes: dict[str, Node] = {}
        self._work: dict[str, _Told] = {}
        self._listed: frozenset[str] | None = None

    def nodes(self, shown: Sequence[Shown], cluster: Cluster) -> News:
        """Take in a complete list. Gives the nodes that read differently now, and the list where others are in it."""
        news = News()
        same_cluster = self._cluster == cluster
        fresh: dict[str, Shown] = {}
        for each in shown:
            old = self._shown.get(each.name)
            now = _steady(each, old)
            fresh[now.name] = now
            if now is old and same_cluster:
                continue
            node = node_of(now, self._source, self._reading, cluster)
            before = self._nodes.get(now.name)
            if node != before:
                self._nodes[now.name] = node
                news.observations.append(NodeSeen(node))
                news.moved = news.moved or _moved(node, before)
        self._cluster = cluster
        news.under_way = any(read_state(state).moving for state in {each.state for each in fresh.values()})
        self._leave_out(fresh, news)
        return news

    def work(self, jobs: Iterable[Job]) -> list[Observation]:
        """Take in a complete list of jobs. Gives the work of nodes where it is another now."""
        on: dict[str, list[WorkloadId]] = defaultdict(list)
        for job in jobs:
            for name in job.nodes:
                on[name].append(job.workload)
        told: list[Observation] = []
        for name, shown in self._shown.items():
            ids, before = on.get(name, _NO_JOBS), self._work.get(name)
            if before is not None and before.shown is shown and before.ids == ids:
                continue
            work = work_of(shown, tuple(sorted(set(ids))))
            if len(work.workloads) > SHOWN:
                work = replace(work, workloads=work.workloads[:SHOWN])
            self._work[name] = _Told(shown, ids, work)
            if before is None or before.work != work:
                told.append(WorkSeen(NodeKey(self._source, name), work))
        return told

    def _leave_out(self, fresh: Mapping[str, Shown], news: News) -> None:
        for name in self._shown.keys() - fresh.keys():
            self._nodes.pop(name, None)
            self._work.pop(name, None)
        self._shown = dict(fresh)
        names = frozenset(fresh)
        if names != self._listed:
            news.moved = news.moved or self._listed is not None
            self._listed = names
            news.observations.append(Listed(self._source, names))


def _steady(now: Shown, old: Shown | None) -> Shown:
    """The node with the boot time that was told, where it is the same boot; `old` itself where nothing is other than it was."""
    if old is None or now is old:
        return now
    if now.booted != old.booted and same_boot(boot_of(now), boot_of(old)):
        now = msgspec.structs.replace(now, booted=old.booted)
    return old if now == old else now


def _moved(node: Node, before: Node | None) -> bool:
    """Whether more than its jobs changed."""
    if before is None:
        return False
    return (node.stage, node.admission, node.readiness, node.holds, node.boot_id, node.image) != (
        before.stage,
        before.admission,
        before.readiness,
        before.holds,
        before.boot_id,
        before.image,
    )
