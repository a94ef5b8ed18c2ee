"""The DaemonSet controller: one pod on every node that takes it, cordoned or not, ready or not."""

from __future__ import annotations

from backends.simulated.objects import DAEMONSETS, NODES, PODS, Json
from backends.simulated.placement import tolerates, wants_node
from backends.simulated.pod_shapes import admitted_spec, is_ready, owned_pod, owner_reference, phase_of
from backends.simulated.site import Site

_TOLERATED = tuple(
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}
    for key, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
        ("not-ready", "NoSchedule"),
        ("unreachable", "NoSchedule"),
    )
)


def daemon_spec(template_spec: Json, node: str) -> Json:
    """The spec of a daemon's pod: bound to its node, with the tolerations the controller adds."""
    spec = admitted_spec(template_spec, node=node)
    added = [] if {"operator": "Exists"} in spec["tolerations"] else _TOLERATED
    return {**spec, "tolerations": [*(template_spec.get("tolerations") or ()), *added]}


def daemon_pod(daemon: Json, node: str, name: str) -> Json:
    """A daemon's pod for a node, Pending."""
    template = daemon["spec"]["template"]
    reference = owner_reference("DaemonSet", "apps/v1", daemon)
    spec = daemon_spec(template.get("spec") or {}, node)
    return owned_pod(name, daemon["metadata"]["namespace"], template, reference, spec=spec)


def keep_daemon_on(site: Site, daemon: Json, node: Json) -> None:
    """One pod of the daemon on the node if it takes it, none if not."""
    metadata, name = daemon["metadata"], node["metadata"]["name"]
    pods = [pod for pod in site.store.pods_on(name) if _is_of(daemon, pod)]
    if not _runs_on(daemon, node):
        for pod in pods:
            site.end_pod(pod)
        return
    for pod in pods:
        if phase_of(pod) in ("Succeeded", "Failed"):
            site.store.delete(PODS, pod["metadata"]["name"], metadata["namespace"])
    if not [pod for pod in pods if phase_of(pod) not in ("Succeeded", "Failed")]:
        fresh = site.free_pod_name(metadata["name"], metadata["namespace"], name, site.store.version)
        site.store.create(PODS, daemon_pod(daemon, name, fresh))


def write_daemon_status(site: Site, daemon: Json) -> None:
    """Count the daemon's pods over all nodes."""
    metadata = daemon["metadata"]
    wanted = sum(_runs_on(daemon, node) for node in site.store.list(NODES))
    pods = [pod for pod in site.store.list(PODS, metadata["namespace"]) if _is_of(daemon, pod)]
    ready = sum(is_ready(pod) for pod in pods)
    status = {
        "observedGeneration": metadata.get("generation", 1),
        "desiredNumberScheduled": wanted,
        "currentNumberScheduled": len(pods),
        "updatedNumberScheduled": len(pods),
        "numberMisscheduled": 0,
        "numberReady": ready,
        "numberAvailable": ready,
        "numberUnavailable": max(0, wanted - ready),
    }
    site.store.update(
        DAEMONSETS, metadata["name"], lambda copy: copy.update(status=status), metadata["namespace"]
    )


def _runs_on(daemon: Json, node: Json) -> bool:
    spec = daemon["spec"]["template"].get("spec") or {}
    if not wants_node(spec, node["metadata"]["name"], node["metadata"].get("labels") or {}):
        return False
    tolerations = [*(spec.get("tolerations") or ()), *_TOLERATED]
    return all(
        tolerates(tolerations, taint)
        for taint in (node.get("spec") or {}).get("taints") or ()
        if taint.get("effect") in ("NoSchedule", "NoExecute")
    )


def _is_of(daemon: Json, pod: Json) -> bool:
    uid = daemon["metadata"]["uid"]
    return any(each.get("uid") == uid for each in pod["metadata"].get("ownerReferences") or ())
