"""The kinds that the simulated cluster keeps, as Kubernetes names them.

A table, so that discovery, routing, permission reviews and the object store all read the same rows. What a
kind means (scheduling, budgets, ownership) is not told here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One kind, compared by identity: the constants below are the only ones there are."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    has_status: bool = True
    """Whether `/status` is a subresource, so that writes to the object itself leave the status alone."""
    has_generation: bool = False
    """Whether `metadata.generation` counts the changes of the spec."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def qualified(self) -> str:
        """The name that error messages use: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


NODES = Resource("", "v1", "nodes", "Node", namespaced=False, short_names=("no",))
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False, short_names=("ns",))
PODS = Resource("", "v1", "pods", "Pod", namespaced=True, short_names=("po",))
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap", True, ("cm",), has_status=False)
EVENTS = Resource("", "v1", "events", "Event", True, ("ev",), has_status=False)
EVENTS_V1 = Resource("events.k8s.io", "v1", "events", "Event", True, ("ev",), has_status=False)
"""The same events in their newer shape: a view of `EVENTS` that the API gives, not a second store."""
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", namespaced=True, has_status=False)
DAEMONSETS = Resource("apps", "v1", "daemonsets", "DaemonSet", True, ("ds",), has_generation=True)
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", True, ("deploy",), has_generation=True)
REPLICASETS = Resource("apps", "v1", "replicasets", "ReplicaSet", True, ("rs",), has_generation=True)
STATEFULSETS = Resource("apps", "v1", "statefulsets", "StatefulSet", True, ("sts",), has_generation=True)
JOBS = Resource("batch", "v1", "jobs", "Job", namespaced=True, has_generation=True)
PDBS = Resource(
    "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, ("pdb",), has_generation=True
)

STORED: tuple[Resource, ...] = (
    NODES,
    NAMESPACES,
    PODS,
    CONFIGMAPS,
    EVENTS,
    LEASES,
    DAEMONSETS,
    DEPLOYMENTS,
    REPLICASETS,
    STATEFULSETS,
    JOBS,
    PDBS,
)
RESOURCES: tuple[Resource, ...] = (*STORED, EVENTS_V1)

RESOURCESLICES = Resource("resource.k8s.io", "v1", "resourceslices", "ResourceSlice", False, has_status=False)
RESOURCECLAIMS = Resource("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim", namespaced=True)
BY_CLAIMS: tuple[Resource, ...] = (RESOURCESLICES, RESOURCECLAIMS)
"""Kept always, and served only where a cluster is told to: nothing here gives GPUs out by claims by itself."""

_BY_PATH = {(each.group, each.version, each.plural): each for each in (*RESOURCES, *BY_CLAIMS)}


def find(group: str, version: str, plural: str) -> Resource | None:
    """The resource served under those three path segments, or None."""
    return _BY_PATH.get((group, version, plural))


def group_versions() -> Iterable[tuple[str, str]]:
    """Each (group, version) that holds a resource, the core one first, in the order of the table."""
    return dict.fromkeys((each.group, each.version) for each in RESOURCES)
