"""Builds values of the fleet for tests, so that a test says only what matters to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from fleet.holder import Hold
from fleet.node import Admission, Image, Node, NodeKey, Readiness, Software, Stage
from fleet.operation import Operation, OperationState, Outcome, StepState
from fleet.plan import Blocker, Mark, NodePlan, Plan, Radius, Request, Step, Verb
from fleet.policy import Policy
from fleet.row import FleetRow, row_of
from fleet.telemetry import NodeTelemetry
from fleet.workload import NodeWork, WorkloadId

NOW = datetime.fromisoformat("2026-03-01T03:00:00+00:00")


def node(
    name: str = "gpu-001",
    *,
    source: str = "demo",
    category: str = "h100",
    running: str | None = "v2",
    desired: str | None = "v2",
    stage: Stage = Stage.IN_SERVICE,
    admission: Admission | None = None,
    readiness: Readiness = Readiness.READY,
    holds: Sequence[Hold] = (),
    gpus: int | None = 8,
) -> Node:
    """A node in service unless told otherwise; admission follows from the stage."""
    if admission is None:
        closed = Admission.GATED if stage in (Stage.GATED, Stage.PROVISIONING) else Admission.CORDONED
        admission = Admission.OPEN if stage is Stage.IN_SERVICE else closed
    return Node(
        key=NodeKey(source, name),
        uid=f"uid-{name}",
        category=category,
        category_from="node.lab/category",
        image=Image(running=running, running_from="node.lab/image-version", desired=desired),
        stage=stage,
        admission=admission,
        readiness=readiness,
        holds=tuple(holds),
        gpus_capacity=gpus,
        gpus_allocatable=gpus,
        software=Software(driver="570.86.15", cuda="12.8", gpu_product="NVIDIA-H100-80GB-HBM3"),
        created=NOW - timedelta(days=12),
    )


def telemetry(
    *,
    at: datetime = NOW,
    util: float | None = 71.0,
    temp: float | None = 64.0,
    memory: float | None = 0.63,
    power: float | None = 4200.0,
    xid: int | None = 0,
    xid_at: datetime | None = None,
) -> NodeTelemetry:
    """Eight GPUs at work, sampled at `at`."""
    return NodeTelemetry(
        at=at,
        gpus_seen=8,
        gpu_util=util,
        gpu_util_min=util,
        gpu_temp_max=temp,
        fb_used_ratio=memory,
        power_watts=power,
        xid=xid,
        xid_at=xid_at,
    )


def work(*names: str, gpus: int = 0, namespace: str = "research") -> NodeWork:
    """Jobs by name that together have so many GPUs."""
    jobs = tuple(WorkloadId(namespace, "Job", name) for name in names)
    return NodeWork(gpus_used=gpus, pods=len(jobs), workloads=jobs)


def row(
    name: str = "gpu-001",
    *,
    of: Node | None = None,
    does: NodeWork | None = None,
    shows: NodeTelemetry | None = None,
    policy: Policy | None = None,
) -> FleetRow:
    """A row of a node (named `name` unless given whole), its work and its telemetry."""
    return row_of(of or node(name), does, shows, policy or Policy())


def plan(
    verb: Verb = Verb.DRAIN,
    names: Sequence[str] = ("gpu-001",),
    *,
    says: Sequence[str] = ("close admission", "move the work away"),
    blockers: Sequence[Blocker] = (),
    radius: Radius | None = None,
    reason: str = "",
    **node_plan: object,
) -> Plan:
    """A plan of steps that only say what they are; `node_plan` are fields of every node's share."""
    keys = tuple(NodeKey("demo", name) for name in names)
    shares = tuple(
        NodePlan(
            key,
            tuple(
                Step(f"{key.name}/{number}", key, Mark(Stage.DRAINING), text)
                for number, text in enumerate(says, 1)
            ),
            blockers=tuple(blocker for blocker in blockers if blocker.node == key),
            **{"found": "in-service, open, v1", **node_plan},  # type: ignore[arg-type]
        )
        for key in keys
    )
    return Plan(
        Request(verb, keys, "oncall@desk", reason, "op-1"),
        shares,
        radius or Radius(nodes=len(keys)),
        "a1b2c3d4e5f6",
        NOW,
        blockers=tuple(blocker for blocker in blockers if blocker.node is None),
    )


def operation(
    of: Plan | None = None,
    *,
    name: str = "op-1",
    state: OperationState = OperationState.RUNNING,
    done: int = 0,
    outcomes: Sequence[Outcome] = (),
) -> Operation:
    """An operation whose first `done` steps are done."""
    of = of or plan()
    states = tuple(
        (step.id, StepState.DONE if number < done else StepState.PENDING)
        for number, step in enumerate(of.steps)
    )
    return Operation(name, of, state, NOW - timedelta(minutes=4), steps=states, outcomes=tuple(outcomes))
