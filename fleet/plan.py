"""A plan is a value: what a verb would do, node by node, why it can't, and what it would cost.

The confirm screen, `quarterdeck plan`, the dry run and the journal all show this same value. Nothing here does anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from fleet.diagnosis import Diagnose
from fleet.health import Acceptance, Finding, GateRecord, Repair
from fleet.holder import Hold
from fleet.lock import Lock
from fleet.machine import Tie
from fleet.node import Node, NodeKey, Stage
from fleet.policy import TYPED_CONFIRMATION_ABOVE
from fleet.verb import Verb as Verb
from fleet.workload import Placement, Rest, WorkloadAt, WorkloadId


@dataclass(frozen=True, slots=True)
class DrainOptions:
    """kubectl's drain filters. `grace` None leaves each pod its own; `deadline` None takes the category's.

    `requeue` takes batch jobs off the node at once, to start anew elsewhere; without it a drain waits for them.
    """

    ignore_daemonsets: bool = True
    delete_emptydir: bool = False
    force: bool = False
    grace: timedelta | None = None
    deadline: timedelta | None = None
    requeue: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """How a verb is to be done. `image` for reimage and provision; `take_over` names the foreign holders to lift.

    For a gate, `accept` names a check that may stay UNKNOWN, for `accept_for` or until `accept_until`; `repaired` says what was
    mended.
    """

    drain: DrainOptions = DrainOptions()
    image: str | None = None
    category: str | None = None
    check_only: bool = False
    take_over: tuple[str, ...] = ()
    accept: str = ""
    accept_for: timedelta | None = None
    accept_until: datetime | None = None
    repaired: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A verb as it was asked for: of which nodes, by whom, why. `operation` is the id it will run under."""

    verb: Verb
    nodes: tuple[NodeKey, ...]
    by: str
    reason: str
    operation: str
    options: Options = Options()


@dataclass(frozen=True, slots=True)
class Before:
    """The node as it was when a step was planned, so that its effect can be told afterwards.

    `manifest` is the whole node as it is to be made again (JSON), where the step deletes it: a crash between can be mended.
    """

    uid: str = ""
    boot_id: str = ""
    image: str | None = None
    unschedulable: bool = False
    holds: tuple[Hold, ...] = ()
    manifest: str = ""
    stage: Stage | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """Close admission: write the hold and the stage in one guarded change; behind the gate where `gate`.

    With `again` the operation's hold is there already and is brought up to date; Conflict where somebody lifted it.
    """

    hold: Hold
    stage: Stage | None = None
    gate: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """Lift our holds of `operations` (all of ours where empty) and the `take_over` ones by name; open when none is left.

    With `as_it_stands` somebody else opened it: ours goes, and nothing opens or closes it. Conflict where it is closed again.
    """

    operations: tuple[str, ...] = ()
    take_over: tuple[str, ...] = ()
    stage: Stage | None = Stage.IN_SERVICE
    open_gate: bool = False
    as_it_stands: bool = False


@dataclass(frozen=True, slots=True)
class MoveWork:
    """Evict, within the rules of the orchestrator, until nothing that must go is left, or the deadline passes."""

    options: DrainOptions
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class PutImage:
    """Have the imager start `image`. `stage` and `hold` are what the node carries when it comes back.

    `by_cordon`: its category gates by cordon, so that it comes back without the gate's taint.
    """

    image: str
    imager: str
    hold: Hold
    by_cordon: bool = False


@dataclass(frozen=True, slots=True)
class AwaitBoot:
    """Wait until the node itself reports `image` and a boot that differs from the one recorded."""

    image: str
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class Check:
    """Run the category's checks, record the verdict on the node and apply it: PASS lifts the gate's own hold.

    With `flag_only` the verdict is recorded and the node's admission left alone (a node in service); `write` False writes nothing.
    For as long as `settle` a node that does not pass yet is asked again: after a boot its agents and telemetry come late.
    `sides` are both nodes of a machine of two sources, in the order in which they are opened: one verdict over both.
    """

    operation: str
    by: str
    flag_only: bool = False
    write: bool = True
    settle: timedelta = timedelta(0)
    by_cordon: bool = False
    sides: tuple[NodeKey, ...] = ()


@dataclass(frozen=True, slots=True)
class ApplyVerdict:
    """What the runner makes of a `Check` once the findings are in: the record, and what it does to the node.

    `admit` opens the gate and lifts the gate's own holds and those of `operation`, never a colleague's; `quarantine` closes it
    with `hold` and the stage quarantined, `by_cordon` alone where its category gates so. With neither, only the record is written.
    """

    record: GateRecord
    operation: str
    admit: bool = False
    quarantine: bool = False
    hold: Hold | None = None
    by_cordon: bool = False


@dataclass(frozen=True, slots=True)
class Attest:
    """Write a person's word on the node: a check that may stay UNKNOWN for a time, or what was mended. Nothing else changes.

    An acceptance takes the place of one of the same check; those that ended by `at` are taken away with it.
    """

    at: datetime
    acceptance: Acceptance | None = None
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Write the stage, with nothing else changed."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the node from its orchestrator's truth, by uid, only while no work is bound to it and no other operation is at it.

    `operation` is whose removal it is.
    """

    operation: str = ""


@dataclass(frozen=True, slots=True)
class Create:
    """Make a new node, gated, at `image`; `by_cordon` alone where its category gates so."""

    category: str
    image: str
    hold: Hold
    by_cordon: bool = False


Action = (
    Close
    | Release
    | MoveWork
    | PutImage
    | AwaitBoot
    | Diagnose
    | Check
    | ApplyVerdict
    | Attest
    | Mark
    | Remove
    | Create
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done to one node. `id` is unique within the operation and stable over a resume; `says` is for people."""

    id: str
    node: NodeKey
    action: Action
    says: str
    before: Before = Before()


class BlockerKind(Enum):
    """Why a verb can't run. An OPTION blocker goes away with the option its message names; a HARD one doesn't."""

    HARD = "hard"
    OPTION = "option"


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why a node (or, with `node` None, the whole plan) can't go, and how to go on."""

    node: NodeKey | None
    says: str
    go_on: str = ""
    kind: BlockerKind = BlockerKind.HARD


@dataclass(frozen=True, slots=True)
class Radius:
    """What it would cost, as found now: shown before it runs, and compared again at each node's turn.

    `jobs_lost` are workloads that do not come back by themselves; `waits_for` are budgets that hold a pod now, with their
    owners; `capacity_left` is (GPUs usable after, GPUs usable now) of the `categories` touched, None where unknown. `gangs` says
    of each workload that would lose a part here on how many other nodes the rest of it runs. `jobs` of the `pods` are batch jobs.
    """

    nodes: int = 0
    workloads: tuple[WorkloadId, ...] = ()
    jobs_lost: tuple[str, ...] = ()
    pods: int = 0
    jobs: int = 0
    gpus: int = 0
    waits_for: tuple[str, ...] = ()
    capacity_left: tuple[int, int] | None = None
    categories: tuple[str, ...] = ()
    gangs: tuple[str, ...] = ()

    @property
    def moving(self) -> str:
        """How much work moves away: `3 pods of 1 workload move`, `1 job moves`."""
        pods, loads = self.pods - self.jobs, len(self.workloads)
        parts = [f"{self.jobs:,} job{'' if self.jobs == 1 else 's'}"] if self.jobs else []
        if pods or not self.jobs:
            of = f"{loads:,} workload{'' if loads == 1 else 's'}"
            parts.append(f"{pods:,} pod{'' if pods == 1 else 's'} of {of}")
        return f"{' and '.join(parts)} move{'s' if self.jobs == 1 and not pods else ''}"


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node's share of a plan. `already` says what is so already and needs no step; `promise` is its part of the hash.

    `sides` are both nodes of a machine of two sources, Slurm's first; the steps then name the side that each is done to.
    """

    node: NodeKey
    steps: tuple[Step, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    already: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    moves: tuple[Placement, ...] = ()
    found: str = ""  # stage, admission and image in words, as found
    promise: str = ""
    sides: tuple[NodeKey, ...] = ()

    @property
    def keys(self) -> tuple[NodeKey, ...]:
        """Every node that it works on."""
        return self.sides or (self.node,)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done. `hash` covers what the confirm promises, and not pods, jobs or times.

    `at_once` is how many nodes it has under way together. Where `max_unavailable` of the category `braked_by` bounds that,
    `already_out` of it are out of service beside the targets. `warnings` are of the whole plan.
    """

    request: Request
    nodes: tuple[NodePlan, ...]
    radius: Radius
    hash: str
    at: datetime
    waves: int = 1
    at_once: int = 1
    max_unavailable: int | None = None
    blockers: tuple[Blocker, ...] = ()
    sources: tuple[SourceIdentity, ...] = ()
    braked_by: str = ""
    already_out: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def pace(self) -> str:
        """How it goes through its nodes, in words; empty where all go at once."""
        if self.waves <= 1:
            return ""
        says = f"{self.waves} waves of {self.at_once}"
        if self.max_unavailable is None:
            return says
        named = f"max-unavailable {self.max_unavailable} of category {self.braked_by or 'none'}"
        return f"{says}: {named}, {self.already_out} already out"

    @property
    def verb(self) -> Verb:
        return self.request.verb

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for node in self.nodes for step in node.steps)

    @property
    def all_blockers(self) -> tuple[Blocker, ...]:
        return self.blockers + tuple(blocker for node in self.nodes for blocker in node.blockers)

    @property
    def free_to_run(self) -> bool:
        return not self.all_blockers

    @property
    def changes_nothing(self) -> bool:
        """Whether it only looks: a gate that writes nothing, and that no journal tells of."""
        return self.verb is Verb.GATE and self.request.options.check_only

    @property
    def typed(self) -> bool:
        """Whether the confirmation must be typed rather than pressed."""
        if self.changes_nothing:
            return False
        vouches = bool(self.request.options.accept or self.request.options.repaired)
        return (
            vouches or self.verb in (Verb.RETIRE, Verb.REIMAGE) or len(self.nodes) > TYPED_CONFIRMATION_ABOVE
        )


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node read fresh from its orchestrator for a plan or a step: authoritative, uncached.

    `version` is the orchestrator's version of the node, to guard the next change. `kept_out` names agents (device plugin,
    exporter) whose pods the gate taint would keep out. `unschedulable` is what the orchestrator enforces now.
    `lock` is whose turn it is there, where somebody took it; `no_lock` says why none may be had, where that is in doubt.
    `no_close` and `no_open` are why the orchestrator would not let it be closed, or opened, or would undo that by itself.
    `untold` says what its work may hold beside what is counted, and why that is not known.
    """

    node: Node
    version: str = ""
    unschedulable: bool = False
    placements: tuple[Placement, ...] = ()
    kept_out: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    lock: Lock | None = None
    no_lock: str = ""
    no_close: Blocker | None = None
    no_open: Blocker | None = None
    untold: str = ""


def plan_hash(promise: Mapping[str, object]) -> str:
    """Twelve hexadecimal digits of what is promised, the same for the same promise on every machine."""
    text = json.dumps(promise, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """Which cluster this is: its name here, and its own identity (uid of kube-system)."""

    source: str
    identity: str = ""
    server: str = ""


class Permission(Enum):
    """Whether the orchestrator lets us do a verb. UNKNOWN is not a yes, and is said."""

    ALLOWED = "allowed"
    DENIED = "denied"
    NOBODY = "nobody"  # the source can only be looked at
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Ground:
    """The immutable view a plan is made over.

    `facts` by node; `missing` are nodes asked for that are not there; `permissions` by verb; `capacity` by category: (usable
    GPUs, all GPUs, nodes, nodes unavailable) for the radius and the brakes. `elsewhere`: where beside the nodes asked for
    a workload runs, as last seen; it changes all the time, so no hash covers it. `ties` says of nodes that a rule joins what
    their machine is, and `twins` has the facts of the other sides, which count no GPU and no node of their own. `no_checks` says
    by source why nothing may be run on its nodes, empty where it may; a source that is not there was not asked.
    """

    facts: Mapping[NodeKey, NodeFacts]
    identity: Mapping[str, SourceIdentity] = field(default_factory=dict)
    permissions: Mapping[tuple[str, Verb], Permission] = field(default_factory=dict)
    capacity: Mapping[str, tuple[int, int, int, int]] = field(default_factory=dict)
    missing: tuple[NodeKey, ...] = ()
    stale_feeds: tuple[str, ...] = ()
    elsewhere: Mapping[WorkloadAt, Rest] = field(default_factory=dict)
    ties: Mapping[NodeKey, Tie] = field(default_factory=dict)
    twins: Mapping[NodeKey, NodeFacts] = field(default_factory=dict)
    no_checks: Mapping[str, str] = field(default_factory=dict)
