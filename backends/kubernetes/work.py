"""The work on every node, kept up to date one pod at a time, small enough for 150,000 pods.

A pod leaves one tuple behind (its node, what it holds, its workload), and texts that many pods share are kept once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import NamedTuple

from backends.kubernetes.claims import Claims, Device, Held, Offer, Slices
from backends.kubernetes.gpu_counts import Sharing
from backends.kubernetes.pods import PodShape, gpus_of, keeper_of, workload_of
from backends.kubernetes.slurmd_pods import SlurmdPods
from fleet.node import Node
from fleet.text import clean
from fleet.workload import Keeper, NodeWork, WorkloadId

_SPARE = 1000
_WHOLE = Sharing()
NO_SLURMD = SlurmdPods()
_SHOWN = 200
"""Of one node's workloads no more than this are named."""


class _Held(NamedTuple):
    """What one live pod is to its node. `workload` is None where the pod belongs to the node itself; `host` for slurmd's pods."""

    node: str
    gpus: int
    mig: int
    workload: WorkloadId | None
    host: str = ""
    claims: bool = False  # it asks for devices by claims alone


class _Tally:
    """One node's sums."""

    __slots__ = ("claims", "gpus", "gpus_of", "hosts", "mig", "pods", "workloads")

    def __init__(self) -> None:
        self.claims = self.gpus = self.mig = self.pods = 0
        self.workloads: dict[WorkloadId, int] = {}
        self.gpus_of: dict[WorkloadId, int] = {}
        self.hosts: list[tuple[str, int]] = []

    def add(self, held: _Held, sign: int) -> None:
        self.gpus += sign * held.gpus
        self.mig += sign * held.mig
        self.claims += sign * held.claims
        if held.host:
            (self.hosts.append if sign > 0 else self.hosts.remove)((held.host, held.gpus))
        if held.workload is None:
            return
        self.pods += sign
        count = self.workloads.get(held.workload, 0) + sign
        if count:
            self.workloads[held.workload] = count
            self.gpus_of[held.workload] = self.gpus_of.get(held.workload, 0) + sign * held.gpus
        else:
            del self.workloads[held.workload], self.gpus_of[held.workload]


class WorkIndex:
    """Live pods by uid, and what they sum up to on each node. Finished pods and those bound nowhere count nothing."""

    def __init__(self, slurmd: SlurmdPods = NO_SLURMD) -> None:
        self._slurmd = slurmd
        self._held: dict[str, _Held] = {}
        self._tallies: dict[str, _Tally] = {}
        self._names: dict[str, str] = {}
        self._workloads: dict[WorkloadId, WorkloadId] = {}

    def __len__(self) -> int:
        return len(self._held)

    @property
    def nodes(self) -> Collection[str]:
        """The names of nodes that have, or had, pods."""
        return self._tallies.keys()

    def put(self, pods: Iterable[PodShape]) -> set[str]:
        """Take in pods as they are now. Gives the nodes whose work may have changed."""
        touched: set[str] = set()
        for pod in pods:
            uid = pod.metadata.uid or f"{pod.metadata.namespace}/{pod.metadata.name}"
            self._replace(uid, self._hold(pod), touched)
        if len(self._workloads) > 2 * len(self._held) + _SPARE:
            live = (held.workload for held in self._held.values() if held.workload is not None)
            self._workloads = {workload: workload for workload in live}
        return touched

    def drop(self, pod: PodShape) -> set[str]:
        """Forget a pod that is gone. Gives the nodes whose work may have changed."""
        touched: set[str] = set()
        self._replace(pod.metadata.uid or f"{pod.metadata.namespace}/{pod.metadata.name}", None, touched)
        return touched

    def work(self, node: str) -> NodeWork:
        """The work on a node: none, where no pod is bound to it."""
        tally = self._tallies.get(node)
        if tally is None:
            return NodeWork()
        named = tuple(sorted(tally.workloads)[:_SHOWN])
        return NodeWork(
            gpus_used=tally.gpus,
            mig_used=tally.mig,
            pods=tally.pods,
            workloads=named,
            hosts=tuple(sorted({host for host, _ in tally.hosts})),
            host_gpus=sum(gpus for _, gpus in tally.hosts),
            gpus_of=tuple(tally.gpus_of[workload] for workload in named),
        )

    def work_by_claims(self, node: str, held: Iterable[Held]) -> NodeWork:
        """The work on a node whose GPUs claims give out: what is used is what they hold, whatever pods ask for."""
        work, whole, slices, hosts = self.work(node), 0, 0, 0
        per_workload: dict[WorkloadId, int] = {}
        for device in held:
            if device.kind is Device.MIG:
                slices += 1
                continue
            whole += 1
            users = [pod for uid in device.pods if (pod := self._held.get(uid)) is not None]
            hosts += any(pod.host for pod in users)
            for workload in {pod.workload for pod in users if pod.workload is not None}:
                per_workload[workload] = per_workload.get(workload, 0) + 1
        gpus_of = tuple(per_workload.get(workload, 0) for workload in work.workloads)
        return replace(work, gpus_used=whole, mig_used=slices, host_gpus=hosts, gpus_of=gpus_of)

    def claims(self, node: str) -> bool:
        """Whether a pod there has devices by claims alone, which no pod's requests tell of."""
        tally = self._tallies.get(node)
        return tally is not None and tally.claims > 0

    def _hold(self, pod: PodShape) -> _Held | None:
        node = pod.spec.node_name if pod.spec is not None else None
        if not node or pod.finished:
            return None
        gpus, mig = gpus_of(pod.spec)
        belongs = keeper_of(pod.metadata) in (Keeper.DAEMON, Keeper.MIRROR)
        host = self._slurmd.node_of(pod)
        if belongs and not gpus and not mig and not host:
            return None
        name = clean(node, 253)
        workload = None
        if not belongs:
            made = workload_of(pod.metadata)
            workload = self._workloads.setdefault(made, made)
        claims = not gpus and not mig and bool(pod.spec and pod.spec.resource_claims)
        return _Held(self._names.setdefault(name, name), gpus, mig, workload, host, claims)

    def _replace(self, uid: str, new: _Held | None, touched: set[str]) -> None:
        old = self._held.get(uid)
        if old == new:
            return
        if old is not None:
            self._tallies[old.node].add(old, -1)
            touched.add(old.node)
        if new is None:
            self._held.pop(uid, None)
            return
        self._held[uid] = new
        tally = self._tallies.get(new.node)
        if tally is None:
            tally = self._tallies[new.node] = _Tally()
        tally.add(new, 1)
        touched.add(new.node)


class Roster:
    """What the feeds of one source know together: the nodes that are there, and the work on them once it is known.

    A node without pods has no work (zeros) only when the list of pods is complete; until then its work is unknown. `slices` and
    `claims` are None for as long as either is not known: then what claims give out is unknown too.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.index: WorkIndex | None = None
        self.slices: Slices | None = None
        self.claims: Claims | None = None
        self._sharing: dict[str, Sharing] = {}
        self._uncounted: dict[str, Node] = {}

    def shares(self, node: str, sharing: Sharing) -> bool:
        """Note how a node's GPUs are shared. True where that is news, so that its work reads otherwise."""
        before = self._sharing.get(node, _WHOLE)
        if sharing == _WHOLE:
            self._sharing.pop(node, None)
        else:
            self._sharing[node] = sharing
        return before != sharing

    def offered(self, node: Node) -> Node:
        """The node as its agent tells of it, with the GPUs that its slices offer where the agent counts none."""
        name = node.key.name
        if counts_none(node):
            self._uncounted[name] = node
        else:
            self._uncounted.pop(name, None)
        return self.seen(name) or node

    def seen(self, name: str) -> Node | None:
        """A node whose agent counts no GPUs, as `offered` gives it; None of any other."""
        node = self._uncounted.get(name)
        return None if node is None else with_offer(node, self._offer(name))

    def counted(self, name: str) -> bool:
        """Whether the node's agent counts GPUs, as far as it was told of."""
        return name not in self._uncounted

    def forget(self, name: str) -> None:
        """A node is gone."""
        self.names.discard(name)
        self._uncounted.pop(name, None)

    def work(self, node: str) -> NodeWork | None:
        """The work on a node, None where it is unknown."""
        return self.work_in(self.index, node)

    def work_in(self, index: WorkIndex | None, node: str) -> NodeWork | None:
        """As `work`, by another index. What GPUs are held by claims that nobody told is not known: it is not zero."""
        if index is None:
            return None
        if self.slices is not None and self.claims is not None and self._offer(node) is not None:
            kinds = self.slices.kinds(node)
            return index.work_by_claims(node, self.claims.held({pool for pool, _ in kinds}, kinds))
        sharing = self._sharing.get(node, _WHOLE)
        if sharing.claimed and index.claims(node):
            return None
        return as_devices(index.work(node), sharing)

    def _offer(self, node: str) -> Offer | None:
        """What slices offer on a node whose agent counts no GPUs, once both slices and claims are known."""
        if self.slices is None or self.claims is None or node not in self._uncounted:
            return None
        return self.slices.offer(node)


def counts_none(node: Node) -> bool:
    """Whether no device plugin tells of GPUs on the node, so that they may be given out by claims."""
    return not node.gpus_allocatable and not node.mig_allocatable


def with_offer(node: Node, offer: Offer | None) -> Node:
    """The node with the GPUs that its slices offer; as it is where there are none, unknown where they are not told whole."""
    if offer is None:
        return node
    capacity = node.gpus_capacity or offer.gpus
    return replace(node, gpus_capacity=capacity, gpus_allocatable=offer.free, mig_allocatable=offer.mig)


def as_devices(work: NodeWork, sharing: Sharing) -> NodeWork:
    """What pods ask for, in the devices of their node: so many replicas make a GPU, begun ones too; a MIG instance is a slice."""
    if sharing.sliced:
        slices = work.mig_used + work.gpus_used
        return replace(work, gpus_used=0, mig_used=slices, host_gpus=0, gpus_of=(0,) * len(work.gpus_of))
    if sharing.replicas == 1:
        return work

    def devices(asked: int) -> int:
        return -(-asked // sharing.replicas)

    return replace(
        work,
        gpus_used=devices(work.gpus_used),
        host_gpus=devices(work.host_gpus),
        gpus_of=tuple(map(devices, work.gpus_of)),
    )
