"""Whether a pod may run on a node: the predicates of kube-scheduler that the simulator honours, without any state.

Rules and messages are those of Kubernetes 1.32: NodeUnschedulable, TaintToleration, NodeAffinity, NodeResourcesFit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"
_SUFFIXES = {
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
}
Amounts = Mapping[str, int]


def quantity(text: object, *, scale: int = 1) -> int:
    """A Kubernetes quantity times `scale`, rounded up; 0 for what is not one. `scale=1000` reads CPU as millicores."""
    return _quantity(str(text), scale)


@lru_cache(maxsize=4096)
def _quantity(text: str, scale: int) -> int:
    written = text.strip()
    number = written.rstrip("mkMGTPKi")
    factor = _SUFFIXES.get(written[len(number) :])
    try:
        value = float(number) * (factor or 0.0) * scale
        return -int(-value // 1)
    except (ValueError, OverflowError):
        return 0


def amounts(resources: Mapping[str, Any] | None) -> dict[str, int]:
    """Quantities as whole numbers: millicores of cpu, bytes of memory, counts of the rest."""
    return {
        name: quantity(value, scale=1000 if name == "cpu" else 1) for name, value in (resources or {}).items()
    }


def requests_of(spec: Mapping[str, Any]) -> dict[str, int]:
    """What a pod asks for in all: its containers' requests, limits standing in for requests not made."""
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        resources = container.get("resources") or {}
        for name, count in {
            **amounts(resources.get("limits")),
            **amounts(resources.get("requests")),
        }.items():
            total[name] = total.get(name, 0) + count
    return total


def tolerates(tolerations: Sequence[Mapping[str, Any]], taint: Mapping[str, Any]) -> bool:
    """Whether any toleration matches the taint's key, value and effect."""
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", taint.get("effect")):
            continue
        key, operator = toleration.get("key"), toleration.get("operator") or "Equal"
        if not key and operator == "Exists":
            return True
        if key == taint.get("key") and (
            operator == "Exists" or (toleration.get("value") or "") == (taint.get("value") or "")
        ):
            return True
    return False


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector (matchLabels and matchExpressions) matches. An empty one matches all, None nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(rule, labels) for rule in selector.get("matchExpressions") or ())


def _expression(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = str(rule.get("key")), rule.get("operator"), rule.get("values") or ()
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    if operator == "NotIn":
        return labels.get(key) not in values
    return key in labels and labels[key] in values


def wants_node(spec: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> bool:
    """Whether the pod's nodeSelector and required node affinity accept a node."""
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    fields = {"metadata.name": name}
    return any(
        (term.get("matchExpressions") or term.get("matchFields"))
        and all(_expression(rule, labels) for rule in term.get("matchExpressions") or ())
        and all(_expression(rule, fields) for rule in term.get("matchFields") or ())
        for term in required.get("nodeSelectorTerms") or ()
    )


@dataclass(slots=True)
class Room:
    """One node as a scheduler sees it: what it admits, what it has and what is taken. Amounts as `amounts` gives."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, Any]] = ()
    unschedulable: bool = False
    allocatable: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)

    def take(self, requests: Amounts, sign: int = 1) -> None:
        """Count a pod in, or out with `sign=-1`."""
        for name, count in requests.items():
            self.used[name] = self.used.get(name, 0) + sign * count
        self.used["pods"] = self.used.get("pods", 0) + sign

    def free(self, resource: str) -> int:
        return self.allocatable.get(resource, 0) - self.used.get(resource, 0)


def refusals(spec: Mapping[str, Any], requests: Amounts, room: Room) -> list[str]:
    """Why a node refuses a pod, as kube-scheduler words it; empty where it takes it.

    The first filter that refuses speaks alone; a lack of resources names each one.
    """
    tolerations = spec.get("tolerations") or ()
    if room.unschedulable and not tolerates(
        tolerations, {"key": UNSCHEDULABLE_TAINT, "effect": "NoSchedule"}
    ):
        return ["node(s) were unschedulable"]
    for taint in room.taints:
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerates(tolerations, taint):
            return [f"node(s) had untolerated taint {{{taint.get('key')}: {taint.get('value') or ''}}}"]
    if not wants_node(spec, room.name, room.labels):
        return ["node(s) didn't match Pod's node affinity/selector"]
    lacking = ["Too many pods"] if room.free("pods") < 1 else []
    lacking += [f"Insufficient {name}" for name, count in requests.items() if count > room.free(name)]
    return lacking


def unschedulable_message(nodes: int, reasons: Iterable[tuple[str, int]]) -> str:
    """The message of FailedScheduling: how many nodes there are and how many refuse for which reason."""
    if not nodes:
        return "no nodes available to schedule pods"
    counted = list(reasons)
    told = ", ".join(sorted(f"{count} {reason}" for reason, count in counted))
    full = sum(count for reason, count in counted if reason.startswith(("Insufficient", "Too many")))
    victims = ["No preemption victims found for incoming pod"] * bool(full)
    helpless = ["Preemption is not helpful for scheduling"] * (full < nodes)
    numbers = [min(full, nodes)] * bool(full) + [nodes - min(full, nodes)] * (full < nodes)
    preemption = ", ".join(f"{count} {text}" for count, text in zip(numbers, victims + helpless, strict=True))
    return f"0/{nodes} nodes are available: {told}. preemption: 0/{nodes} nodes are available: {preemption}."
