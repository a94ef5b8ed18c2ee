"""A node of the fleet as its orchestrator shows it. Work and telemetry are facets of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from fleet.health import Acceptance, GateRecord, Repair
from fleet.holder import Hold


class NodeKey(NamedTuple):
    """A node's name is unique within its source only."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.source}/{self.name}"


class Stage(Enum):
    """Where a node is in its life."""

    PROVISIONING = "provisioning"
    GATED = "gated"
    IN_SERVICE = "in-service"
    DRAINING = "draining"
    DRAINED = "drained"
    REIMAGING = "reimaging"
    QUARANTINED = "quarantined"
    RETIRING = "retiring"
    RETIRED = "retired"


class Admission(Enum):
    """Whether new work may land, from what the orchestrator enforces and nothing else."""

    OPEN = "open"
    CORDONED = "cordoned"
    GATED = "gated"


class Readiness(Enum):
    """What the node's agent says of itself. UNKNOWN: it has not been heard of (unreachable, or never yet)."""

    READY = "ready"
    NOT_READY = "not-ready"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Taint:
    """A Kubernetes taint, or what stands for one."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition the orchestrator reports. `bad` has the polarity of its type resolved; None is undecidable."""

    type: str
    status: str
    bad: bool | None
    reason: str = ""
    message: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """The software image as the node itself shows it, and the one wanted of it. None is unknown."""

    running: str | None = None
    running_from: str = ""  # the label or field that said so
    desired: str | None = None

    @property
    def drifted(self) -> bool | None:
        """Whether running and desired differ; None where either is unknown."""
        if self.running is None or self.desired is None:
            return None
        return self.running != self.desired


@dataclass(frozen=True, slots=True)
class Topology:
    """Where the node stands. Empty where nothing says so."""

    zone: str = ""
    rack: str = ""
    switch: str = ""
    clique: str = ""


@dataclass(frozen=True, slots=True)
class Software:
    """Versions the node reports. Empty where it doesn't."""

    driver: str = ""
    cuda: str = ""
    kernel: str = ""
    os_image: str = ""
    agent: str = ""  # kubelet or slurmd version
    gpu_product: str = ""
    runtime: str = ""  # what runs its containers
    labelled: tuple[
        tuple[str, str], ...
    ] = ()  # the site's own labels, by its name for them: ("nic", "28.39")


@dataclass(frozen=True, slots=True)
class Node:
    """One machine, absolute: every field is what was last seen, never a difference.

    `gpus_capacity` and `gpus_allocatable` count whole devices (MIG instances count in `mig_allocatable`); None is unknown.
    `label_stage` is what a lifecycle label claims, kept apart from `stage`, which is what is enforced.
    `asleep` is what would wake it, where its orchestrator powered it down until work wants it, or is about to: it has not failed.
    `never_gated` is true of an open node that carries no gate verdict.
    `replaceable` says that the imager `recreate` may serve it (KWOK or simulated), `reboots` that `slurm_reboot` may. `owner`
    names the Machine, NodeClaim or node group that owns it, empty where nobody does. `version` is not part of equality of meaning:
    it is the orchestrator's resourceVersion and is kept out of Node (see `NodeFacts`).
    """

    key: NodeKey
    uid: str = ""
    category: str = ""
    category_from: str = ""
    image: Image = Image()
    stage: Stage = Stage.IN_SERVICE
    label_stage: str = ""
    admission: Admission = Admission.OPEN
    readiness: Readiness = Readiness.UNKNOWN
    holds: tuple[Hold, ...] = ()
    gate: GateRecord | None = None
    conditions: tuple[Condition, ...] = ()
    taints: tuple[Taint, ...] = ()
    gpus_capacity: int | None = None
    gpus_allocatable: int | None = None
    mig_allocatable: int = 0
    boot_id: str = ""
    software: Software = Software()
    topology: Topology = Topology()
    created: datetime | None = None
    deleting: bool = False
    replaceable: bool = False
    reboots: bool = False
    owner: str = ""
    operation: str = ""  # our operation that made or holds it, as written on the node
    upgrade: str = ""  # another controller's work under way on it, in its own words
    asleep: str = ""
    accepted: tuple[Acceptance, ...] = ()  # checks that people let stay unknown for a time
    repair: Repair | None = None  # what a person says was mended
    known_as: tuple[tuple[str, str], ...] = ()  # by label, annotation or pod, for a rule that joins machines

    @property
    def holder(self) -> Hold | None:
        """The hold to show first: a foreign one before ours, since ours we can lift."""
        return min(self.holds, key=lambda hold: hold.kind.value == "ours", default=None)

    @property
    def bad_conditions(self) -> tuple[Condition, ...]:
        return tuple(condition for condition in self.conditions if condition.bad)
