"""What the NVIDIA GPU Operator says of a node: whether an upgrade of the driver is done, and whether its validator has passed.

States and labels as in the operator's own upgrade library (k8s-operator-libs, pkg/upgrade/consts.go). The validator runs its
checks as init containers, so that its pod runs only once they have passed.
"""

from __future__ import annotations

from collections.abc import Sequence

from backends.kubernetes.pods import PodShape
from backends.kubernetes.shapes import NodeShape
from fleet.health import Finding, Verdict
from fleet.text import clean

CHECK = "gpu-operator"
_STATE = "nvidia.com/gpu-driver-upgrade-state"
_DEPLOYS = "nvidia.com/gpu.deploy."
_VALIDATOR = f"{_DEPLOYS}operator-validator"
_PAUSED = "paused-for-driver-upgrade"
_APP = "nvidia-operator-validator"
_DONE = frozenset({"", "unknown", "upgrade-done"})
_FAILED = "upgrade-failed"
_WAITS = "upgrade-required"
_WANTS = "no upgrade under way, the validator ready"


def operator_finding(node: NodeShape, pods: Sequence[PodShape], source: str) -> Finding | None:
    """The finding of `gpu-operator`; None where the operator is not at this node."""
    labels = node.labels
    state = labels.get(_STATE, "")
    if state == "" and not any(key.startswith(_DEPLOYS) for key in labels):
        return None
    if state == _FAILED:
        return _found(
            source, Verdict.FAIL, "driver upgrade failed", "the GPU Operator's upgrade being mended"
        )
    if state not in (*_DONE, _WAITS):
        return _found(source, Verdict.UNKNOWN, f"driver upgrade: {clean(state, 60)}", "the upgrade ending")
    paused = sorted(key.removeprefix(_DEPLOYS) for key, value in labels.items() if value == _PAUSED)
    if paused:
        says = f"paused for a driver upgrade: {', '.join(paused)}"
        return _found(source, Verdict.UNKNOWN, says, "the upgrade ending")
    if labels.get(_VALIDATOR) == "true":
        validator = _validator(pods, source)
        if validator.verdict is not Verdict.PASS:
            return validator
    if state == _WAITS:
        return _found(source, Verdict.WARN, "a driver upgrade is due", "the upgrade")
    return _found(source, Verdict.PASS, "validated" if labels.get(_VALIDATOR) == "true" else "no upgrade", "")


def _validator(pods: Sequence[PodShape], source: str) -> Finding:
    phases = [pod.phase for pod in pods if pod.labels.get("app") == _APP]
    clears = (
        "the validator's pod becoming ready: kubectl logs -n gpu-operator -l app=nvidia-operator-validator"
    )
    if "Running" in phases:
        return _found(source, Verdict.PASS, "validated", "")
    if "Failed" in phases:
        return _found(source, Verdict.FAIL, "the validator failed", clears)
    value = (
        f"the validator is {clean(phases[0], 40) or 'in no phase'}"
        if phases
        else "the validator has no pod here"
    )
    return _found(source, Verdict.UNKNOWN, value, clears)


def _found(source: str, verdict: Verdict, value: str, clears: str) -> Finding:
    return Finding(CHECK, verdict, clean(value, 200), _WANTS, source, None, clears)
