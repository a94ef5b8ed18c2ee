"""One machine in two sources: slurmd in a pod, or beside the kubelet. The rule that ties its two nodes, and the pair they are.

Nodes stay keyed (source, name), and each source stays the only truth of its own node. A pair is what is shown as one machine,
counted once, and closed and opened as one: Slurm closes first and opens last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from fleet.holder import Hold, HolderKind
from fleet.node import Admission, Node, NodeKey
from fleet.workload import NodeWork

POD_NODE = "pod"
"""The name in `Node.known_as` for what a node of Slurm says of the Kubernetes node that its pod is on."""

PROPAGATES = frozenset({"slurm-operator"})
"""Controllers that close one side of a machine because the other is closed, and open it again by themselves (Slinky)."""


class JoinBy(Enum):
    """How the Slurm node of a Kubernetes node is found. The value is its name in the settings."""

    NAME = "name"
    LABEL = "label"
    ANNOTATION = "annotation"
    PATTERN = "pattern"
    SLINKY = "slinky"
    SOPERATOR = "soperator"
    PODS = "pods"


_POD_LABELS = {
    JoinBy.SLINKY: "nodeset.slinky.slurm.net/pod-name",
    JoinBy.SOPERATOR: "app.kubernetes.io/component=worker",
}


@dataclass(frozen=True, slots=True)
class JoinRule:
    """Which nodes of two sources are one machine.

    `key` is the label or annotation of the Kubernetes node (LABEL, ANNOTATION), or the label of slurmd's pods as `key` or
    `key=value` (PODS). `template` is what the Slurm node of a Kubernetes node whose whole name fits `pattern` is called.
    `shows_slurm` says that the Slurm node stands for the machine in the table.
    """

    kubernetes: str
    slurm: str
    by: JoinBy = JoinBy.NAME
    key: str = ""
    pattern: str = ""
    template: str = ""
    shows_slurm: bool = False

    @property
    def pod_label(self) -> str:
        """The label that slurmd's pods carry, as `key` or `key=value`; empty where pods say nothing."""
        return self.key if self.by is JoinBy.PODS else _POD_LABELS.get(self.by, "")

    @property
    def shown(self) -> str:
        """The source whose node stands for the machine."""
        return self.slurm if self.shows_slurm else self.kubernetes

    def other(self, source: str) -> str:
        """The other one of the two sources."""
        return self.slurm if source == self.kubernetes else self.kubernetes

    def claims(self, node: Node, work: NodeWork | None) -> frozenset[NodeKey]:
        """Nodes of the other source that this node's own evidence says are its machine, whether they are there or not."""
        if node.key.source == self.kubernetes:
            return frozenset(NodeKey(self.slurm, name) for name in self._of_kubernetes(node, work) if name)
        if node.key.source == self.slurm:
            return frozenset(NodeKey(self.kubernetes, name) for name in self._of_slurm(node) if name)
        return frozenset()

    def _of_kubernetes(self, node: Node, work: NodeWork | None) -> Sequence[str]:
        if self.by is JoinBy.NAME:
            return (node.key.name,)
        if self.by is JoinBy.PATTERN:
            match = re.fullmatch(self.pattern, node.key.name)
            return (match.expand(self.template),) if match else ()
        if self.pod_label:
            return work.hosts if work is not None else ()
        return tuple(value for key, value in node.known_as if key == self.key)

    def _of_slurm(self, node: Node) -> Sequence[str]:
        if self.by is JoinBy.NAME:
            return (node.key.name,)
        if self.by is JoinBy.SLINKY:
            return tuple(value for key, value in node.known_as if key == POD_NODE)
        return ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A node's other side. `shown`: this node stands for the machine. `slurm` is the name of the Slurm source.

    `twin` None: several nodes, the `rivals`, say that they are this machine, so that none can be believed.
    """

    twin: Node | None = None
    work: NodeWork | None = None
    shown: bool = True
    slurm: str = ""
    rivals: tuple[NodeKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Tie:
    """What the rules make of one node for a verb: its machine's `sides`, Slurm first, or why they can't be told (`says`).

    `shown` is the side that stands for the machine.
    """

    shown: NodeKey
    sides: tuple[NodeKey, ...] = ()
    says: str = ""
    go_on: str = ""

    def twin_of(self, key: NodeKey) -> NodeKey | None:
        """The other side; None where there is none, or it can't be told."""
        return next((side for side in self.sides if side != key), None)


def disagree(one: Node, other: Node) -> bool:
    """Whether work may land by one side of a machine and not by the other."""
    return (one.admission is Admission.OPEN) != (other.admission is Admission.OPEN)


def truth(node: Node, slurm: str) -> str:
    """What one side says of its admission, in its own words: `Slurm lab: IDLE+DRAIN by root: dust`, `Kubernetes prod: open`."""
    who = kind_of(node.key, slurm)
    if node.admission is Admission.OPEN:
        return f"{who}: open"
    state = next((each.status for each in node.conditions if each.type == "State"), "")
    hold = node.holder
    by = f" by {hold.by or 'somebody unnamed'}" if hold else ""
    why = f": {hold.reason}" if hold and hold.reason and hold.reason != state else ""
    return f"{who}: {state or node.admission.value}{by}{why}"


def kind_of(key: NodeKey, slurm: str) -> str:
    """A side by its orchestrator and source: `Slurm lab`, `Kubernetes prod`."""
    return f"{'Slurm' if key.source == slurm else 'Kubernetes'} {key.source}"


def truths(one: Node, other: Node, slurm: str) -> str:
    """Both sides' words, Slurm's first."""
    first, second = (one, other) if one.key.source == slurm else (other, one)
    return f"{truth(first, slurm)}; {truth(second, slurm)}"


def together(own: NodeWork | None, pair: Pair | None) -> NodeWork | None:
    """The work of a whole machine: both sides', less what a pod of slurmd holds only to give it to jobs. Unknown beside unknown."""
    if pair is None or pair.twin is None or own is None:
        return own
    other = pair.work
    if other is None:
        return None
    return NodeWork(
        gpus_used=own.gpus_used - own.host_gpus + other.gpus_used - other.host_gpus,
        mig_used=own.mig_used + other.mig_used,
        pods=own.pods + other.pods,
        workloads=own.workloads + other.workloads,
        hosts=own.hosts or other.hosts,
        gpus_of=_both(own, other),
    )


def _both(own: NodeWork, other: NodeWork) -> tuple[int, ...]:
    """The GPUs of every workload of both sides; empty where either side does not tell."""
    known = all(len(side.gpus_of) == len(side.workloads) for side in (own, other))
    return own.gpus_of + other.gpus_of if known else ()


def own_holds(node: Node, other: Node) -> tuple[Hold, ...]:
    """A side's holds less those that a controller only carried over from the other side, which it lifts by itself."""
    if not any(not _carried(hold) for hold in other.holds):
        return node.holds
    return tuple(hold for hold in node.holds if not _carried(hold))


def without_carried(node: Node, other: Node) -> Node:
    """A side with its own holds alone."""
    holds = own_holds(node, other)
    return node if holds == node.holds else replace(node, holds=holds)


def _carried(hold: Hold) -> bool:
    return hold.kind is HolderKind.CONTROLLER and hold.by in PROPAGATES
