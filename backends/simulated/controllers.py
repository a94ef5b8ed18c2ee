"""Which controller has to look at what: every write marks the owners it touches, and each is looked at once, a moment later.

Owned objects are found by their owner's uid, so that one pod's end costs its owner's pods and never the fleet's.
"""

from __future__ import annotations

from collections.abc import Iterable

from backends.simulated.daemons import keep_daemon_on, write_daemon_status
from backends.simulated.job_times import JobTimes
from backends.simulated.objects import (
    DAEMONSETS,
    DEPLOYMENTS,
    JOBS,
    NODES,
    PODS,
    REPLICASETS,
    STATEFULSETS,
    Event,
    Json,
    Resource,
)
from backends.simulated.pod_shapes import controller_of
from backends.simulated.replicas import (
    has_ended,
    keep_deployment,
    keep_job,
    keep_replica_set,
    keep_stateful_set,
)
from backends.simulated.site import Site

_SOON = 0.1
_STATUS_SECONDS = 1.0
_OWNERS = {resource.kind: resource for resource in (DEPLOYMENTS, REPLICASETS, STATEFULSETS, JOBS, DAEMONSETS)}
WORKLOADS = frozenset(_OWNERS.values())
_Place = tuple[Resource, str, str]  # resource, namespace, name


class Controllers:
    """The workload controllers and the garbage collector of what they own."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._owned: dict[str, dict[_Place, None]] = {}
        self._marked: dict[_Place, None] = {}
        self._daemon_nodes: dict[str, None] = {}
        self._daemon_counts: dict[_Place, None] = {}
        self._awake = False
        self._job_times = JobTimes(site, self._mark_job)

    def on_event(self, event: Event) -> None:
        """Learn who owns what, and mark who has to look."""
        resource, obj = event.resource, event.object
        metadata = obj["metadata"]
        place = (resource, metadata.get("namespace", ""), metadata["name"])
        owner = controller_of(obj)
        if owner is not None:
            self._own(owner["uid"], place, gone=event.type == "DELETED")
        if not self._site.live:
            return
        if owner is not None and owner["kind"] in _OWNERS:
            self._mark_owner(_OWNERS[owner["kind"]], place[1], owner["name"], event)
        if resource is NODES:
            self._mark_daemons_of(event)
        elif resource in WORKLOADS:
            if event.type == "DELETED":
                self._job_times.forget(metadata["uid"])
                self._collect(metadata["uid"])
            elif _has_work(event):
                self._mark(place)

    def _own(self, uid: str, place: _Place, *, gone: bool) -> None:
        if not gone:
            self._owned.setdefault(uid, {})[place] = None
            return
        owned = self._owned.get(uid, {})
        owned.pop(place, None)
        if not owned:
            self._owned.pop(uid, None)

    def _mark(self, place: _Place) -> None:
        self._marked[place] = None
        self._wake()

    def _mark_job(self, job: Json) -> None:
        self._mark((JOBS, job["metadata"]["namespace"], job["metadata"]["name"]))

    def _mark_owner(self, resource: Resource, namespace: str, name: str, event: Event) -> None:
        place = (resource, namespace, name)
        if resource is not DAEMONSETS:
            self._mark(place)
            return
        self._count_later(place)
        node = (event.object.get("spec") or {}).get("nodeName")
        if event.type == "DELETED" and node and self._site.store.get(DAEMONSETS, name, namespace):
            self._mark_node(node)

    def _mark_node(self, node: str) -> None:
        self._daemon_nodes[node] = None
        self._wake()

    def _mark_daemons_of(self, event: Event) -> None:
        before = event.previous.object if event.previous else None
        node = event.object
        for daemon in self._site.store.list(DAEMONSETS) if event.type != "MODIFIED" else ():
            self._count_later((DAEMONSETS, daemon["metadata"]["namespace"], daemon["metadata"]["name"]))
        if event.type == "DELETED":
            return
        if before is not None and _admits(before) == _admits(node):
            return
        self._mark_node(node["metadata"]["name"])

    def _count_later(self, place: _Place) -> None:
        if place not in self._daemon_counts:
            self._daemon_counts[place] = None
            self._site.agenda.after(_STATUS_SECONDS, lambda: self._count_daemon(place))

    def _count_daemon(self, place: _Place) -> None:
        self._daemon_counts.pop(place, None)
        daemon = self._site.store.get(DAEMONSETS, place[2], place[1])
        if daemon is not None:
            write_daemon_status(self._site, daemon)

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self._site.agenda.after(_SOON, self._look)

    def _look(self) -> None:
        self._awake = False
        marked, self._marked = self._marked, {}
        nodes, self._daemon_nodes = self._daemon_nodes, {}
        for resource, namespace, name in marked:
            obj = self._site.store.get(resource, name, namespace)
            if obj is not None:
                self._keep(resource, obj)
        daemons = self._site.store.list(DAEMONSETS) if nodes else ()
        for name in nodes:
            node = self._site.store.get(NODES, name)
            for daemon in daemons if node is not None else ():
                if node is not None:
                    keep_daemon_on(self._site, daemon, node)

    def _keep(self, resource: Resource, obj: Json) -> None:
        uid = obj["metadata"]["uid"]
        if resource is DEPLOYMENTS:
            keep_deployment(self._site, obj, self._owned_objects(uid, REPLICASETS))
        elif resource is REPLICASETS:
            keep_replica_set(self._site, obj, self._owned_objects(uid, PODS))
        elif resource is STATEFULSETS:
            keep_stateful_set(self._site, obj, self._owned_objects(uid, PODS))
        elif resource is JOBS:
            self._keep_job(obj)
        else:
            for node in self._site.store.list(NODES):
                keep_daemon_on(self._site, obj, node)
            self._count_later((resource, obj["metadata"]["namespace"], obj["metadata"]["name"]))

    def _keep_job(self, job: Json) -> None:
        """Pods while it runs; once it ended, its removal when its time is over."""
        metadata = job["metadata"]
        if not has_ended(job):
            pods = self._owned_objects(metadata["uid"], PODS)
            keep_job(self._site, job, pods, out_of_time=self._job_times.out_of_time(job))
        kept = self._site.store.get(JOBS, metadata["name"], metadata["namespace"])
        if kept is not None and has_ended(kept) and self._job_times.outlived(kept):
            self._site.store.delete(JOBS, metadata["name"], metadata["namespace"])

    def _owned_objects(self, uid: str, resource: Resource) -> list[Json]:
        found = (
            self._site.store.get(each, name, namespace)
            for each, namespace, name in self._owned.get(uid, {})
            if each is resource
        )
        return [obj for obj in found if obj is not None]

    def _collect(self, uid: str) -> None:
        """Remove what a deleted owner leaves behind, pods with their grace period."""
        owned: Iterable[_Place] = tuple(self._owned.get(uid, {}))
        for resource, namespace, name in owned:
            obj = self._site.store.get(resource, name, namespace)
            if obj is None:
                continue
            if resource is PODS:
                self._site.end_pod(obj)
            else:
                self._site.store.delete(resource, name, namespace)


def _admits(node: Json) -> tuple[object, object]:
    """What of a node decides whether a daemon runs there."""
    return (node.get("spec") or {}).get("taints") or (), node["metadata"].get("labels") or {}


def _has_work(event: Event) -> bool:
    """Whether a change of a workload asks for more than its status."""
    return event.previous is None or event.previous.object.get("spec") != event.object.get("spec")
