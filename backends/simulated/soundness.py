"""Whether an object has the types and values that the controllers read.

A real API server decodes into typed fields and answers 400 to a wrong type; a value that is missing or out of its range is 422, and
so is a wrong type that only a patch brings about (measured on 1.36).

Only fields that the simulation acts on are named here; what else an object holds is nobody's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from backends.simulated.resources import (
    DAEMONSETS,
    DEPLOYMENTS,
    JOBS,
    NODES,
    PDBS,
    PODS,
    REPLICASETS,
    STATEFULSETS,
    Resource,
)

_MOST_PODS = 200_000
_Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST_PODS)]


class _Spelled(msgspec.Struct, frozen=True, rename="camel"):
    """Fields are spelled as the API spells them."""


class _Amounts(_Spelled, frozen=True):
    requests: dict[str, str | int | float] | None = None
    limits: dict[str, str | int | float] | None = None


class _Container(_Spelled, frozen=True):
    name: str
    image: str | None = None
    resources: _Amounts | None = None


class _Toleration(_Spelled, frozen=True):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    toleration_seconds: int | None = None


class _Rule(_Spelled, frozen=True):
    key: str
    operator: str
    values: list[str] | None = None


class _Term(_Spelled, frozen=True):
    match_expressions: list[_Rule] | None = None
    match_fields: list[_Rule] | None = None


class _Terms(_Spelled, frozen=True):
    node_selector_terms: list[_Term] | None = None


class _NodeAffinity(_Spelled, frozen=True):
    required_during_scheduling_ignored_during_execution: _Terms | None = None


class _Affinity(_Spelled, frozen=True):
    node_affinity: _NodeAffinity | None = None


class _PodSpec(_Spelled, frozen=True):
    containers: Annotated[list[_Container], msgspec.Meta(min_length=1)]
    tolerations: list[_Toleration] | None = None
    node_selector: dict[str, str] | None = None
    affinity: _Affinity | None = None
    node_name: str | None = None
    restart_policy: str | None = None
    termination_grace_period_seconds: _Count | None = None


class _TemplateMetadata(_Spelled, frozen=True):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Template(_Spelled, frozen=True):
    spec: _PodSpec
    metadata: _TemplateMetadata | None = None


class _Selector(_Spelled, frozen=True):
    match_labels: dict[str, str] | None = None
    match_expressions: list[_Rule] | None = None


class _Replicated(_Spelled, frozen=True):
    template: _Template
    selector: _Selector
    replicas: _Count | None = None


class _Daemon(_Spelled, frozen=True):
    template: _Template
    selector: _Selector


class _Job(_Spelled, frozen=True):
    template: _Template
    parallelism: _Count | None = None
    completions: _Count | None = None
    backoff_limit: _Count | None = None
    completion_mode: str | None = None
    suspend: bool | None = None
    active_deadline_seconds: Annotated[int, msgspec.Meta(gt=0)] | None = None
    ttl_seconds_after_finished: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Budget(_Spelled, frozen=True):
    selector: _Selector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None


class _Taint(_Spelled, frozen=True):
    key: str
    effect: str
    value: str | None = None


class _NodeSpec(_Spelled, frozen=True):
    taints: list[_Taint] | None = None
    unschedulable: bool | None = None


class _Condition(_Spelled, frozen=True):
    type: str
    status: str


class _NodeStatus(_Spelled, frozen=True):
    conditions: list[_Condition] | None = None
    allocatable: dict[str, str | int | float] | None = None


class _ContainerStatus(_Spelled, frozen=True):
    name: str
    restart_count: int = 0


class _PodStatus(_Spelled, frozen=True):
    phase: str | None = None
    conditions: list[_Condition] | None = None
    container_statuses: list[_ContainerStatus] | None = None


class _Owner(_Spelled, frozen=True):
    kind: str
    name: str
    uid: str
    controller: bool | None = None


class _Metadata(_Spelled, frozen=True):
    owner_references: list[_Owner] | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


_SPECS: Mapping[Resource, Any] = {
    PODS: _PodSpec,
    NODES: _NodeSpec,
    DEPLOYMENTS: _Replicated,
    REPLICASETS: _Replicated,
    STATEFULSETS: _Replicated,
    DAEMONSETS: _Daemon,
    JOBS: _Job,
    PDBS: _Budget,
}
_STATUSES: Mapping[Resource, Any] = {PODS: _PodStatus, NODES: _NodeStatus}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an object: at which `field`, and whether its type is (else it is missing, or out of range)."""

    says: str
    field: str
    of_type: bool


def unsound(resource: Resource, obj: Mapping[str, Any]) -> Problem | None:
    """What is wrong with an object, or None."""
    parts = (
        ("metadata", _Metadata),
        ("spec", _SPECS.get(resource)),
        ("status", _STATUSES.get(resource)),
    )
    for part, shape in parts:
        if shape is None:
            continue
        try:
            msgspec.convert(obj.get(part) or {}, shape)
        except msgspec.ValidationError as error:
            says, _, path = str(error).partition(" - at `$")
            return Problem(says, part + path.rstrip("`"), of_type=", got " in says)
    return None
