"""What is enforced, and the stage that follows from it."""

from __future__ import annotations

import pytest

from fleet.admission import admission_of, stage_of
from fleet.holder import Hold, HolderKind
from fleet.node import Admission, Stage, Taint

GATE = Taint("node.lab/health-gate", "pending", "NoSchedule")


@pytest.mark.parametrize(
    ("unschedulable", "taints", "admission"),
    [
        (False, [], Admission.OPEN),
        (True, [], Admission.CORDONED),
        (False, [GATE], Admission.GATED),
        (True, [GATE], Admission.GATED),
        (False, [Taint("node.lab/health-gate", "pending", "PreferNoSchedule")], Admission.OPEN),
        (False, [Taint("other.lab/health-gate", "pending", "NoSchedule")], Admission.OPEN),
        (False, [Taint("nvidia.com/gpu", "present", "NoSchedule")], Admission.OPEN),
        (False, [Taint("node.kubernetes.io/not-ready", "", "NoExecute")], Admission.OPEN),
        (False, [Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")], Admission.CORDONED),
        (False, [Taint("karpenter.sh/disrupted", "", "NoSchedule")], Admission.CORDONED),
        (False, [Taint("DeletionCandidateOfClusterAutoscaler", "1", "PreferNoSchedule")], Admission.OPEN),
    ],
)
def test_admission_is_what_is_enforced(
    unschedulable: bool, taints: list[Taint], admission: Admission
) -> None:
    assert admission_of(unschedulable, taints, "node.lab/") is admission


@pytest.mark.parametrize("label", [stage.value for stage in Stage])
def test_a_node_that_takes_work_is_in_service_whatever_its_label_says(label: str) -> None:
    assert stage_of(label, Admission.OPEN) is Stage.IN_SERVICE


@pytest.mark.parametrize("stage", list(Stage))
def test_a_closed_node_is_in_the_stage_its_label_says(stage: Stage) -> None:
    assert stage_of(stage.value, Admission.CORDONED) is stage


def test_a_label_in_service_behind_the_gate_is_gated() -> None:
    assert stage_of("in-service", Admission.GATED) is Stage.GATED
    assert stage_of("provisioning", Admission.GATED) is Stage.PROVISIONING


@pytest.mark.parametrize("label", ["", "no-such-stage", "IN-SERVICE"])
def test_without_a_readable_label_the_stage_follows_from_what_is_enforced(label: str) -> None:
    assert stage_of(label, Admission.OPEN) is Stage.IN_SERVICE
    assert stage_of(label, Admission.CORDONED) is Stage.IN_SERVICE
    assert stage_of(label, Admission.GATED) is Stage.GATED
    assert stage_of(label, Admission.OPEN, joined=False) is Stage.PROVISIONING
    assert stage_of(label, Admission.CORDONED, deleting=True) is Stage.RETIRING


def test_without_a_label_our_own_hold_tells_what_was_under_way() -> None:
    ours = Hold("oncall@host", verb="drain")
    foreign = Hold("kured", kind=HolderKind.CONTROLLER, verb="drain")
    assert stage_of("", Admission.CORDONED, holds=[ours]) is Stage.DRAINING
    assert stage_of("", Admission.CORDONED, holds=[Hold("oncall@host", verb="cordon")]) is Stage.IN_SERVICE
    assert stage_of("", Admission.CORDONED, holds=[foreign]) is Stage.IN_SERVICE
