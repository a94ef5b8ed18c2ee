"""The feeds of a cluster, nodes and pods, and what each makes of the objects it is shown; a third tells what claims give out.

They share a `Roster`: that a node without pods has no work can be said only once both lists are complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from random import Random

from backends.kubernetes.claims_feed import ClaimsFeed
from backends.kubernetes.connection import SILENCE, Api
from backends.kubernetes.convert import node_of
from backends.kubernetes.gpu_counts import gpu_counts, sharing_of
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.pods import PodShape
from backends.kubernetes.shapes import NodeShape, NodeStatus, Page, Reading, WatchEvent
from backends.kubernetes.slurmd_pods import SlurmdPods
from backends.kubernetes.watch import ListWatch
from backends.kubernetes.work import NO_SLURMD, Roster, WorkIndex
from fleet.node import NodeKey
from fleet.observation import Listed, NodeGone, NodeSeen, Observation, WorkSeen
from fleet.ports import Clock

NODES = Reading(NodeShape)
PODS = Reading(PodShape)

_LIVE_PODS = (("fieldSelector", "status.phase!=Succeeded,status.phase!=Failed"),)
"""Finished pods hold nothing, and a batch cluster keeps thousands. One that finishes leaves the watch as DELETED."""


def feeds_of(
    api: Api, keys: NodeKeys, *, clock: Clock, chance: Random, silence: timedelta = SILENCE
) -> tuple[ListWatch[NodeShape], ListWatch[PodShape], ClaimsFeed]:
    """The feeds `nodes` and `pods` of a cluster, and of what claims give out.

    Each is listed after the one before it; where pods are denied, nodes go on without them.
    """
    roster = Roster()
    nodes = ListWatch(
        api,
        "/api/v1/nodes",
        "nodes",
        NODES,
        NodesIntake(api.source, keys, roster),
        clock=clock,
        chance=chance,
        silence=silence,
    )
    pods = ListWatch(
        api,
        "/api/v1/pods",
        "pods",
        PODS,
        PodsIntake(api.source, roster, SlurmdPods.of(keys.policy.joins, api.source)),
        clock=clock,
        chance=chance,
        selector=_LIVE_PODS,
        silence=silence,
        after=nodes,
    )
    claims = ClaimsFeed(api, roster, clock=clock, chance=chance, after=pods.listed, silence=silence)
    return nodes, pods, claims


class NodesIntake:
    """Nodes as they are, and the work that is known of one seen for the first time."""

    def __init__(self, source: str, keys: NodeKeys, roster: Roster) -> None:
        self._source = source
        self._keys = keys
        self._roster = roster
        self._listed: set[str] = set()
        self._reshared: set[str] = set()
        self._unreadable: dict[str, str] = {}

    @property
    def note(self) -> str:
        return _note(self._unreadable, "node")

    def begin(self) -> None:
        self._listed = set()
        self._reshared = set()
        self._unreadable = {}

    def page(self, page: Page[NodeShape]) -> Sequence[Observation]:
        named = [shape for shape in page.items if shape.metadata.name]
        self._listed.update(shape.metadata.name for shape in named)
        self._unreadable.update(page.unreadable)
        # One that can't be read is there all the same: it must not be taken for gone.
        self._listed.update(name for name, _ in page.unreadable)
        seen = [self._seen(shape) for shape in named]
        self._reshared.update(
            shape.metadata.name for shape, (_, news) in zip(named, seen, strict=True) if news
        )
        return [each for each, _ in seen]

    def complete(self) -> Iterable[Observation]:
        fresh = self._listed - self._roster.names | self._reshared
        for gone in self._roster.names - self._listed:
            self._roster.forget(gone)
        self._roster.names = set(self._listed)
        yield Listed(self._source, frozenset(self._listed))
        yield from self._work(fresh)

    def event(self, event: WatchEvent[NodeShape]) -> Sequence[Observation]:
        if event.unreadable is not None:
            self._unreadable.update([event.unreadable])
        if event.shape is None or not (name := event.shape.metadata.name):
            return ()
        self._unreadable.pop(name, None)
        names = self._roster.names
        if event.type == "DELETED":
            self._roster.forget(name)
            return (NodeGone(NodeKey(self._source, name)),)
        seen, reshared = self._seen(event.shape)
        if name in names and not reshared:
            return (seen,)
        names.add(name)
        return (seen, *self._work([name]))

    def _seen(self, shape: NodeShape) -> tuple[NodeSeen, bool]:
        """The node, and whether its work reads otherwise from now on: its GPUs are shared, or counted, in another way."""
        roster, name, status = self._roster, shape.metadata.name, shape.status or NodeStatus()
        counts = gpu_counts(status.capacity, status.allocatable, shape.labels)
        counted = roster.counted(name)
        seen = NodeSeen(roster.offered(node_of(shape, self._source, self._keys)))
        reshared = roster.shares(name, sharing_of(shape.labels, counts))
        return seen, reshared or roster.counted(name) != counted

    def _work(self, names: Iterable[str]) -> Iterable[Observation]:
        for name in names:
            work = self._roster.work(name)
            if work is not None or self._roster.index is not None:
                yield WorkSeen(NodeKey(self._source, name), work)


class PodsIntake:
    """The work on each node, told when it changes; of every node once the list is complete."""

    def __init__(self, source: str, roster: Roster, slurmd: SlurmdPods = NO_SLURMD) -> None:
        self._source = source
        self._roster = roster
        self._slurmd = slurmd
        self._next = WorkIndex(slurmd)
        self._unreadable: dict[str, str] = {}

    @property
    def note(self) -> str:
        return _note(self._unreadable, "pod")

    def begin(self) -> None:
        self._next = WorkIndex(self._slurmd)
        self._unreadable = {}

    def page(self, page: Page[PodShape]) -> Sequence[Observation]:
        self._next.put(page.items)
        self._unreadable.update(page.unreadable)
        return ()

    def complete(self) -> Iterable[Observation]:
        old, new = self._roster.index, self._next
        self._roster.index = new
        for name in self._roster.names.union(new.nodes, old.nodes if old is not None else ()):
            work = self._roster.work(name)
            if old is None or self._roster.work_in(old, name) != work:
                yield WorkSeen(NodeKey(self._source, name), work)

    def event(self, event: WatchEvent[PodShape]) -> Sequence[Observation]:
        if event.unreadable is not None:
            self._unreadable.update([event.unreadable])
        index = self._roster.index
        if event.shape is None or index is None:
            return ()
        touched = index.drop(event.shape) if event.type == "DELETED" else index.put([event.shape])
        return [WorkSeen(NodeKey(self._source, name), self._roster.work(name)) for name in touched]


def _note(unreadable: dict[str, str], what: str) -> str:
    if not unreadable:
        return ""
    name, why = next(iter(unreadable.items()))
    return f"{len(unreadable)} {what}{'s' if len(unreadable) > 1 else ''} can't be read: {name or 'unnamed'}: {why}"
