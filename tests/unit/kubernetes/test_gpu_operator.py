"""What the GPU Operator says of a node: done and validated, at work, failed, or not there at all."""

from __future__ import annotations

import pytest

from backends.kubernetes.gpu_operator import operator_finding
from backends.kubernetes.pods import PodShape, PodStatus
from backends.kubernetes.shapes import Meta, NodeShape
from fleet.health import Verdict

STATE = "nvidia.com/gpu-driver-upgrade-state"
VALIDATED = {"nvidia.com/gpu.deploy.operator-validator": "true"}


def node(**labels: str) -> NodeShape:
    return NodeShape(metadata=Meta(name="gpu-1", labels=labels))


def validator(phase: str) -> PodShape:
    return PodShape(
        metadata=Meta(name="v", labels={"app": "nvidia-operator-validator"}), status=PodStatus(phase=phase)
    )


def verdict_of(labels: dict[str, str], *pods: PodShape) -> tuple[Verdict, str]:
    finding = operator_finding(node(**labels), pods, "lab")
    assert finding is not None
    assert (finding.check, finding.source) == ("gpu-operator", "lab")
    assert finding.verdict is Verdict.PASS or finding.clears
    return finding.verdict, finding.value


def test_a_node_without_the_operator_has_no_finding_of_it() -> None:
    assert operator_finding(node(), (), "lab") is None
    assert operator_finding(node(**{"nvidia.com/gpu.count": "8"}), (validator("Running"),), "lab") is None


@pytest.mark.parametrize(
    ("phase", "verdict", "value"),
    [
        ("Running", Verdict.PASS, "validated"),
        ("Failed", Verdict.FAIL, "the validator failed"),
        ("Pending", Verdict.UNKNOWN, "the validator is Pending"),
        ("", Verdict.UNKNOWN, "the validator is in no phase"),
        ("\x1b[31mOdd", Verdict.UNKNOWN, "the validator is Odd"),
    ],
)
def test_the_validators_pod_decides(phase: str, verdict: Verdict, value: str) -> None:
    assert verdict_of(VALIDATED, validator(phase)) == (verdict, value)


def test_a_validator_that_is_wanted_and_not_there_is_unknown() -> None:
    assert verdict_of(VALIDATED) == (Verdict.UNKNOWN, "the validator has no pod here")


def test_a_new_validator_that_runs_beside_one_that_failed_is_the_one_that_counts() -> None:
    assert verdict_of(VALIDATED, validator("Failed"), validator("Running"))[0] is Verdict.PASS


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        ("upgrade-done", Verdict.PASS),
        ("unknown", Verdict.PASS),
        ("upgrade-required", Verdict.WARN),
        ("upgrade-failed", Verdict.FAIL),
        *((word, Verdict.UNKNOWN) for word in ("cordon-required", "drain-required", "pod-restart-required")),
        *((word, Verdict.UNKNOWN) for word in ("validation-required", "uncordon-required", "something-new")),
    ],
)
def test_the_state_of_an_upgrade_decides_before_the_validator(state: str, verdict: Verdict) -> None:
    assert verdict_of({STATE: state, **VALIDATED}, validator("Running"))[0] is verdict


def test_what_is_paused_for_an_upgrade_is_unknown() -> None:
    labels = {"nvidia.com/gpu.deploy.dcgm-exporter": "paused-for-driver-upgrade"}
    assert verdict_of(labels) == (Verdict.UNKNOWN, "paused for a driver upgrade: dcgm-exporter")
