"""What is enforced on a node, and the stage that follows: pure rules over taints, cordons, holds and a label.

Admission is only what the orchestrator enforces. A lifecycle label tells the stage as far as it does not contradict
that; where it does, what is enforced wins, and the label is kept apart to be shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleet.holder import Hold, HolderKind
from fleet.node import Admission, Stage, Taint

HARD = frozenset({"NoSchedule", "NoExecute"})
GATE_TAINT = "health-gate"

CLOSING_TAINTS = frozenset(
    {
        "node.kubernetes.io/unschedulable",
        "node.kubernetes.io/out-of-service",
        "node.cloudprovider.kubernetes.io/uninitialized",
        "node.cloudprovider.kubernetes.io/shutdown",
        "node.cluster.x-k8s.io/uninitialized",
        "karpenter.sh/unregistered",
        "karpenter.sh/disrupted",
        "karpenter.sh/disruption",
        "ToBeDeletedByClusterAutoscaler",
        "medik8s.io/drain",
        "nvsentinel.nvidia.com/validation-pending",
        "sagemaker.amazonaws.com/node-health-status",
        "cloud.google.com/impending-node-termination",
        "skyhook.nvidia.com",
    }
)
"""Taints by which the named controllers close a node to all new work, and not to some of it, as a dedicated node's do."""

_STAGES = {stage.value: stage for stage in Stage}
_BY_VERB = {
    "drain": Stage.DRAINING,
    "reimage": Stage.REIMAGING,
    "retire": Stage.RETIRING,
    "gate": Stage.GATED,
}


def admission_of(unschedulable: bool, taints: Sequence[Taint], prefix: str) -> Admission:
    """Whether new work may land. The gate's taint, `prefix` + health-gate, outranks a cordon; a soft taint closes nothing."""
    hard = {taint.key for taint in taints if taint.effect in HARD}
    if f"{prefix}{GATE_TAINT}" in hard:
        return Admission.GATED
    if unschedulable or not hard.isdisjoint(CLOSING_TAINTS):
        return Admission.CORDONED
    return Admission.OPEN


def stage_of(
    label: str,
    admission: Admission,
    *,
    holds: Sequence[Hold] = (),
    joined: bool = True,
    deleting: bool = False,
) -> Stage:
    """The stage of a node, from its lifecycle `label` (or none) and what is enforced.

    `joined` is false until the node's agent has reported once and the cloud has initialised it.
    """
    claimed = _STAGES.get(label)
    if claimed is not None:
        return _agreed(claimed, admission)
    if deleting:
        return Stage.RETIRING
    if not joined:
        return Stage.PROVISIONING
    if admission is Admission.GATED:
        return Stage.GATED
    if admission is Admission.CORDONED:
        ours = [
            _BY_VERB[hold.verb] for hold in holds if hold.kind is HolderKind.OURS and hold.verb in _BY_VERB
        ]
        return ours[-1] if ours else Stage.IN_SERVICE
    return Stage.IN_SERVICE


def _agreed(claimed: Stage, admission: Admission) -> Stage:
    if admission is Admission.OPEN:
        # Work lands on it, whatever the label says.
        return Stage.IN_SERVICE
    if admission is Admission.GATED and claimed is Stage.IN_SERVICE:
        return Stage.GATED
    return claimed
