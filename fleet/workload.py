"""Work on nodes: pods of an owner, jobs of a user. A gang is one workload, on however many nodes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple


class WorkloadId(NamedTuple):
    """The owner of pods (a Job, a Deployment), or a job. Two pods with one WorkloadId are one workload."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.kind}/{self.name}"


WorkloadAt = tuple[str, WorkloadId]
"""A workload of a source: two clusters may each have one of that name."""


class Rest(NamedTuple):
    """Where a workload runs beside the nodes that are spoken of: on how many nodes, with how many GPUs (None: not known)."""

    nodes: int
    gpus: int | None = None


STANDS_ALONE = frozenset(
    {
        "CloneSet",
        "DaemonSet",
        "Deployment",
        "Pod",
        "ReplicaSet",
        "ReplicationController",
        "Rollout",
        "StatefulSet",
    }
)
"""Kinds whose pods do without each other. Those of any other (a Job, a PodGroup) may wait for the one that goes."""


@dataclass(frozen=True, slots=True)
class NodeWork:
    """The facet of a node that says how busy it is: what the fleet table shows.

    `gpus_used` counts GPUs requested by live work (whole devices; a MIG instance counts as one of `mig_used`).
    `workloads` leaves out what belongs to the node itself (DaemonSet and mirror pods); `gpus_of` are the GPUs of each of them here,
    in their order, and empty where that is not known. `hosts` are nodes of another source that run in pods here (slurmd), and
    `host_gpus` what of `gpus_used` those pods hold.
    """

    gpus_used: int = 0
    mig_used: int = 0
    pods: int = 0
    workloads: tuple[WorkloadId, ...] = ()
    hosts: tuple[str, ...] = ()
    host_gpus: int = 0
    gpus_of: tuple[int, ...] = ()


class Keeper(Enum):
    """Who would bring a placement back."""

    NOBODY = "nobody"
    CONTROLLER = "controller"
    DAEMON = "daemon"  # belongs to the node: left alone by a drain
    MIRROR = "mirror"  # the node's own static pod


@dataclass(frozen=True, slots=True)
class Budget:
    """A disruption budget as it stands. `allowed` is how many may go now; `owner` is whose it is, empty where nobody noted it."""

    namespace: str
    name: str
    allowed: int
    healthy: int = 0
    needed: int = 0
    owner: str = ""

    @property
    def whose(self) -> str:
        """Whom to ask about it: its owner, else what is known of it, its namespace."""
        return f"owner: {self.owner}" if self.owner else f"namespace {self.namespace}"

    @property
    def label(self) -> str:
        return f"{self.namespace}/{self.name} ({self.whose})"


_HALTED = frozenset({"SUSPENDED", "STOPPED"})
"""States of a Slurm job that keeps its node and does not run."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One piece of work bound to one node: a pod, or a job's share of the node, read fresh for a plan.

    `gone_alone` is false where taking it away ends more than itself (a gang). `budgets` names the budgets that cover it.
    `grace` is how long it may take to stop. `loses_scratch` says it keeps node-local scratch (emptyDir). `waits` says that it ends
    in its own time (a batch job): a drain waits for it, unless it was told to requeue. `host` names the node of another source
    that it is (slurmd in a pod).
    """

    namespace: str
    name: str
    uid: str
    workload: WorkloadId
    keeper: Keeper
    gpus: int = 0
    phase: str = ""
    finished: bool = False
    terminating_since: datetime | None = None
    grace: timedelta = timedelta(seconds=30)
    loses_scratch: bool = False
    budgets: tuple[Budget, ...] = ()
    user: str = ""
    time_left: timedelta | None = None
    waits: bool = False
    host: str = ""

    @property
    def label(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def halted(self) -> str:
        """How a batch job is kept from running, and so from ending: `suspended`, `stopped`; empty where it is not."""
        return self.phase.lower() if self.waits and self.phase in _HALTED else ""
