"""Objects as the API server's Tables show them: what `kubectl get` prints, column by column.

A column with priority 1 is printed by `-o wide` only. Ages are those of the moment of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from backends.simulated.objects import Json
from backends.simulated.pod_cells import pod_cells
from backends.simulated.resources import (
    DAEMONSETS,
    DEPLOYMENTS,
    EVENTS,
    EVENTS_V1,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    PDBS,
    PODS,
    REPLICASETS,
    STATEFULSETS,
    Resource,
)
from backends.simulated.spans import age

Cells = list[object]
NONE = "<none>"


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one kind and the function that fills them."""

    names: tuple[str, ...]
    wide: tuple[str, ...]
    cells: Callable[[Json, datetime], Cells]
    integers: frozenset[str] = frozenset()

    def definitions(self) -> Sequence[Json]:
        """`columnDefinitions` of the Table."""
        return [
            {
                "name": name,
                "type": "integer" if name in self.integers else "string",
                "format": "name" if name == "Name" else "",
                "description": "",
                "priority": 1 if name in self.wide else 0,
            }
            for name in (*self.names, *self.wide)
        ]


def columns_of(resource: Resource) -> Columns:
    """The columns of a kind: its own, or name and creation time."""
    return _COLUMNS.get(resource, _PLAIN)


def _metadata(obj: Json) -> Mapping[str, str]:
    return obj["metadata"]  # type: ignore[no-any-return]


def _age(obj: Json, now: datetime) -> str:
    return age(_metadata(obj).get("creationTimestamp"), now)


def _plain(obj: Json, now: datetime) -> Cells:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


def _node(node: Json, now: datetime) -> Cells:
    status = node.get("status") or {}
    about = status.get("nodeInfo") or {}
    addresses = {each["type"]: each["address"] for each in reversed(status.get("addresses") or [])}
    return [
        node["metadata"]["name"],
        _node_status(node),
        _roles(node["metadata"].get("labels") or {}),
        _age(node, now),
        about.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        about.get("osImage") or "<unknown>",
        about.get("kernelVersion") or "<unknown>",
        about.get("containerRuntimeVersion") or "<unknown>",
    ]


def _node_status(node: Json) -> str:
    conditions = (node.get("status") or {}).get("conditions") or []
    ready = [each["status"] for each in conditions if each["type"] == "Ready"]
    word = "Unknown" if not ready else "Ready" if ready[0] == "True" else "NotReady"
    return f"{word},SchedulingDisabled" if (node.get("spec") or {}).get("unschedulable") else word


def _roles(labels: Mapping[str, str]) -> str:
    prefix = "node-role.kubernetes.io/"
    roles = {key.removeprefix(prefix) for key in labels if key.startswith(prefix)} - {""}
    if role := labels.get("kubernetes.io/role"):
        roles.add(role)
    return ",".join(sorted(roles)) or NONE


def _namespace(namespace: Json, now: datetime) -> Cells:
    phase = (namespace.get("status") or {}).get("phase", "Active")
    return [namespace["metadata"]["name"], phase, _age(namespace, now)]


def _event(event: Json, now: datetime) -> Cells:
    about = event.get("involvedObject") or event.get("regarding") or {}
    seen = event.get("lastTimestamp") or event.get("eventTime") or event.get("deprecatedLastTimestamp")
    return [
        age(seen, now),
        event.get("type", ""),
        event.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        event.get("message") or event.get("note") or "",
    ]


def _lease(lease: Json, now: datetime) -> Cells:
    return [lease["metadata"]["name"], (lease.get("spec") or {}).get("holderIdentity", ""), _age(lease, now)]


def _budget(budget: Json, now: datetime) -> Cells:
    spec, status = budget.get("spec") or {}, budget.get("status") or {}
    bounds = [str(spec[name]) if name in spec else "N/A" for name in ("minAvailable", "maxUnavailable")]
    return [budget["metadata"]["name"], *bounds, status.get("disruptionsAllowed", 0), _age(budget, now)]


def _daemonset(workload: Json, now: datetime) -> Cells:
    status = workload.get("status") or {}
    numbers = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    node_selector = workload["spec"].get("template", {}).get("spec", {}).get("nodeSelector") or {}
    selected = ",".join(f"{key}={value}" for key, value in sorted(node_selector.items())) or NONE
    return [
        workload["metadata"]["name"],
        *(status.get(each, 0) for each in numbers),
        selected,
        _age(workload, now),
    ]


def _replicas(workload: Json) -> tuple[int, Json]:
    return workload["spec"].get("replicas", 1), workload.get("status") or {}


def _deployment(workload: Json, now: datetime) -> Cells:
    wanted, status = _replicas(workload)
    ready = f"{status.get('readyReplicas', 0)}/{wanted}"
    numbers = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [workload["metadata"]["name"], ready, *numbers, _age(workload, now)]


def _replicaset(workload: Json, now: datetime) -> Cells:
    wanted, status = _replicas(workload)
    numbers = [status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [workload["metadata"]["name"], wanted, *numbers, _age(workload, now)]


def _statefulset(workload: Json, now: datetime) -> Cells:
    wanted, status = _replicas(workload)
    return [workload["metadata"]["name"], f"{status.get('readyReplicas', 0)}/{wanted}", _age(workload, now)]


def _job(job: Json, now: datetime) -> Cells:
    status = job.get("status") or {}
    conditions = [each["type"] for each in status.get("conditions") or [] if each.get("status") == "True"]
    word = next((each for each in ("Complete", "Failed", "Suspended") if each in conditions), "Running")
    done = f"{status.get('succeeded', 0)}/{job['spec'].get('completions', 1)}"
    ended = status.get("completionTime")
    lasted = age(status.get("startTime"), datetime.fromisoformat(ended) if ended else now)
    return [job["metadata"]["name"], word, done, lasted, _age(job, now)]


_PLAIN = Columns(("Name", "Created At"), (), _plain)
_EVENT = Columns(("Last Seen", "Type", "Reason", "Object", "Message"), (), _event)
_POD_WIDE = ("IP", "Node", "Nominated Node", "Readiness Gates")
_NODE_WIDE = ("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime")
_SETS = ("Desired", "Current", "Ready", "Up-to-date", "Available")
_COLUMNS = {
    NODES: Columns(("Name", "Status", "Roles", "Age", "Version"), _NODE_WIDE, _node),
    PODS: Columns(("Name", "Ready", "Status", "Restarts", "Age"), _POD_WIDE, pod_cells),
    NAMESPACES: Columns(("Name", "Status", "Age"), (), _namespace),
    EVENTS: _EVENT,
    EVENTS_V1: _EVENT,
    LEASES: Columns(("Name", "Holder", "Age"), (), _lease),
    PDBS: Columns(
        ("Name", "Min Available", "Max Unavailable", "Allowed Disruptions", "Age"),
        (),
        _budget,
        frozenset({"Allowed Disruptions"}),
    ),
    DAEMONSETS: Columns(("Name", *_SETS, "Node Selector", "Age"), (), _daemonset, frozenset(_SETS)),
    DEPLOYMENTS: Columns(("Name", "Ready", "Up-to-date", "Available", "Age"), (), _deployment),
    REPLICASETS: Columns(("Name", "Desired", "Current", "Ready", "Age"), (), _replicaset, frozenset(_SETS)),
    STATEFULSETS: Columns(("Name", "Ready", "Age"), (), _statefulset),
    JOBS: Columns(("Name", "Status", "Completions", "Duration", "Age"), (), _job),
}
