"""Fleet values as the JSON that scripts rely on. Unknown is null, never 0."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

from fleet.health import Acceptance, Finding, GateRecord, counts_for_nothing
from fleet.journal import Record
from fleet.machine import disagree, truths
from fleet.node import Condition, Node, Readiness, Topology
from fleet.operation import Operation
from fleet.plan import Blocker, NodePlan, Plan, Radius
from fleet.row import FleetRow
from fleet.telemetry import NodeTelemetry
from tui.streams import says_everything

Shape = dict[str, Any]

_READY = {Readiness.READY: True, Readiness.NOT_READY: False, Readiness.UNKNOWN: None}


def put(shape: object) -> None:
    """Write one JSON document to stdout."""
    json.dump(shape, sys.stdout, indent=2, ensure_ascii=not says_everything(), default=str)
    sys.stdout.write("\n")


def node_shape(row: FleetRow) -> Shape:
    """One node of `nodes --json`."""
    node, work = row.node, row.work
    holder = node.holder
    return {
        "name": node.key.name,
        "source": node.key.source,
        "category": node.category or None,
        "image": node.image.running,
        "desired_image": node.image.desired,
        "stage": node.stage.value,
        "admission": node.admission.value,
        "ready": _READY[node.readiness],
        "holder": holder.by if holder else None,
        "reason": (holder.reason or None) if holder else None,
        "gpus": {
            "capacity": node.gpus_capacity,
            "allocatable": node.gpus_allocatable,
            "used": work.gpus_used if work else None,
        },
        "workloads": len(work.workloads) if work else None,
        "health": _health(node),
        "accepted": [acceptance_shape(word) for word in node.accepted],
        "metrics": _metrics(row.telemetry),
        "conditions": [_condition(condition) for condition in node.conditions],
        "topology": _topology(node.topology),
        "twin": _twin(row),
    }


def _twin(row: FleetRow) -> Shape | None:
    """The machine's node in the other source, as that source shows it; null where there is none, or none can be believed."""
    pair, other = row.pair, row.twin
    if pair is None or other is None:
        return None
    holder = other.holder
    return {
        "name": other.key.name,
        "source": other.key.source,
        "category": other.category or None,
        "stage": other.stage.value,
        "admission": other.admission.value,
        "ready": _READY[other.readiness],
        "holder": holder.by if holder else None,
        "reason": (holder.reason or None) if holder else None,
        "disagrees": disagree(row.node, other),
        "says": truths(row.node, other, pair.slurm),
    }


def verdict_shape(record: GateRecord) -> Shape:
    """A whole verdict, as `gate --json` and its history print it. `digest` is also on the node."""
    return {
        "verdict": record.verdict.value,
        "at": _time(record.at),
        "by": record.by or None,
        "digest": record.digest or None,
        "policy": record.policy or None,
        "boot": record.boot_id or None,
        "findings": [finding_shape(finding, record.at) for finding in record.findings],
    }


def acceptance_shape(word: Acceptance) -> Shape:
    return {
        "check": word.check,
        "by": word.by or None,
        "reason": word.reason or None,
        "since": _time(word.since),
        "until": _time(word.until),
    }


def finding_shape(finding: Finding, judged: datetime | None = None) -> Shape:
    """One finding. `age_seconds` is how old its value was when it was judged; `absent`: nobody reports it, and nobody needs it.

    `last_lines` are those that an active check printed, as the journal keeps them.
    """
    age = (judged - finding.at).total_seconds() if judged is not None and finding.at is not None else None
    return {
        "check": finding.check,
        "verdict": finding.verdict.value,
        "value": finding.value or None,
        "threshold": finding.threshold or None,
        "source": finding.source or None,
        "at": _time(finding.at),
        "clears": finding.clears or None,
        "needed": finding.needed,
        "absent": counts_for_nothing(finding),
        "age_seconds": None if age is None else round(max(age, 0.0), 1),
        "accepted": acceptance_shape(finding.accepted) if finding.accepted else None,
        "last_lines": list(finding.tail),
    }


def plan_shape(plan: Plan) -> Shape:
    """What `plan --json` prints: hash, steps, blockers, radius, and each node's share."""
    return {
        "verb": plan.verb.value,
        "hash": plan.hash,
        "free_to_run": plan.free_to_run,
        "typed_confirmation": plan.typed,
        "steps": [
            {"id": step.id, "node": step.node.name, "source": step.node.source, "says": step.says}
            for step in plan.steps
        ],
        "blockers": [_blocker(blocker) for blocker in plan.all_blockers],
        "radius": _radius(plan.radius),
        "waves": plan.waves,
        "at_once": plan.at_once,
        "max_unavailable": plan.max_unavailable,
        "category": plan.braked_by or None,
        "already_out": plan.already_out if plan.max_unavailable is not None else None,
        "warnings": list(plan.warnings),
        "nodes": [_node_plan(node) for node in plan.nodes],
        "sources": [
            {"source": source.source, "identity": source.identity or None, "server": source.server or None}
            for source in plan.sources
        ],
    }


def operation_shape(operation: Operation) -> Shape:
    """One operation as `run --json` and `operations --json` print it."""
    states = dict(operation.steps)
    return {
        "operation": operation.id,
        "verb": operation.plan.verb.value,
        "state": operation.state.value,
        "says": operation.says or None,
        "by": operation.plan.request.by,
        "reason": operation.plan.request.reason,
        "hash": operation.plan.hash,
        "started": _time(operation.started),
        "ended": _time(operation.ended),
        "nodes": [str(key.name) for key in operation.plan.request.nodes],
        "steps": [
            {"id": step.id, "node": step.node.name, "says": step.says, "state": states[step.id].value}
            for step in operation.plan.steps
            if step.id in states
        ],
        "outcomes": [
            {
                "step": outcome.step_id,
                "node": outcome.node.name,
                "state": outcome.state.value,
                "says": outcome.says,
                "evidence": outcome.evidence or None,
            }
            for outcome in operation.outcomes
        ],
    }


def record_shape(record: Record) -> Shape:
    """One line of the audit trail."""
    return {
        "at": _time(record.at),
        "kind": record.kind.value,
        "operation": record.operation,
        "by": record.by,
        "verb": record.verb or None,
        "source": record.source or None,
        "identity": record.identity or None,
        "node": record.node or None,
        "step": record.step_id or None,
        "state": record.state or None,
        "says": record.says or None,
        "evidence": record.evidence or None,
    }


def _health(node: Node) -> Shape:
    if node.gate is None:
        return {"verdict": None, "findings": []}
    return {
        "verdict": node.gate.verdict.value,
        "at": _time(node.gate.at),
        "by": node.gate.by or None,
        "findings": [finding_shape(finding) for finding in node.gate.findings],
    }


def _metrics(telemetry: NodeTelemetry | None) -> Shape:
    names = ("gpu_util", "gpu_temp_max", "fb_used_ratio", "power_watts", "xid")
    shape: Shape = {name: getattr(telemetry, name) if telemetry else None for name in names}
    shape["gpus_seen"] = telemetry.gpus_seen if telemetry else None
    shape["at"] = _time(telemetry.at) if telemetry else None
    return shape


def _condition(condition: Condition) -> Shape:
    return {
        "type": condition.type,
        "status": condition.status,
        "bad": condition.bad,
        "reason": condition.reason or None,
        "message": condition.message or None,
        "since": _time(condition.since),
    }


def _topology(topology: Topology) -> Shape:
    return {
        "zone": topology.zone or None,
        "rack": topology.rack or None,
        "switch": topology.switch or None,
        "clique": topology.clique or None,
    }


def left_out_shape(node: NodePlan) -> Shape:
    """A node that a plan goes without, and why."""
    return {"node": node.node.name, "blockers": [_blocker(blocker) for blocker in node.blockers]}


def _blocker(blocker: Blocker) -> Shape:
    return {
        "node": blocker.node.name if blocker.node else None,
        "says": blocker.says,
        "go_on": blocker.go_on or None,
        "kind": blocker.kind.value,
    }


def _radius(radius: Radius) -> Shape:
    return {
        "nodes": radius.nodes,
        "workloads": [str(workload) for workload in radius.workloads],
        "jobs_lost": list(radius.jobs_lost),
        "pods": radius.pods,
        "gpus": radius.gpus,
        "waits_for": list(radius.waits_for),
        "gangs": list(radius.gangs),
        "capacity_left": (
            {
                "after": radius.capacity_left[0],
                "now": radius.capacity_left[1],
                "categories": list(radius.categories),
            }
            if radius.capacity_left
            else None
        ),
    }


def _node_plan(node: NodePlan) -> Shape:
    return {
        "node": node.node.name,
        "found": node.found,
        "already": list(node.already),
        "warnings": list(node.warnings),
        "moves": [placement.label for placement in node.moves],
    }


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
