"""What the control plane does to nodes by itself: taints that follow cordon and conditions, eviction, clearing up.

The spans are those of kube-controller-manager's defaults: 40 s of silence make a node Unknown, 60 s without a first word
too, pods stay 300 s on a node that can't be reached, and pods of a deleted node are removed after 41 to 70 s.
"""

from __future__ import annotations

from functools import partial

from backends.simulated.kubelets import LEASE_NAMESPACE, Kubelets
from backends.simulated.node_shapes import REPORTED
from backends.simulated.objects import LEASES, NODES, PODS, Event, Json
from backends.simulated.placement import UNSCHEDULABLE_TAINT, tolerates
from backends.simulated.pod_shapes import is_ready, make_unready
from backends.simulated.site import Site, condition, condition_of

NOT_READY_TAINT = "node.kubernetes.io/not-ready"
UNREACHABLE_TAINT = "node.kubernetes.io/unreachable"
SILENCE_SECONDS = 40.0
_NEVER_SECONDS = 60.0
_EVICT_SECONDS = 300.0
_ORPHAN_SECONDS = 60.0
_OURS = (UNSCHEDULABLE_TAINT, NOT_READY_TAINT, UNREACHABLE_TAINT)


class NodeLifecycle:
    """The node controllers of the site."""

    def __init__(self, site: Site, kubelets: Kubelets) -> None:
        self._site = site
        self._kubelets = kubelets

    def on_node(self, event: Event) -> None:
        """Keep taints in step with the node; clear up behind a deleted one."""
        name, uid = event.object["metadata"]["name"], event.object["metadata"]["uid"]
        if event.type == "DELETED":
            if self._site.store.get(LEASES, name, LEASE_NAMESPACE):
                self._site.store.delete(LEASES, name, LEASE_NAMESPACE)
            span = self._site.about(_ORPHAN_SECONDS - 5.0, "orphans", uid, spread=0.2)
            self._site.agenda.after(span, lambda: self._remove_orphans(name))
            return
        node = self._site.node(name, uid)
        if node is None:
            return
        if event.type == "ADDED" and self._site.live:
            self._unready_pods(name)
            self._site.agenda.after(_NEVER_SECONDS, lambda: self._give_up(name, uid, never=True))
        self._tell_readiness(event, node)
        self._taint(node)

    def fall_silent(self, name: str) -> None:
        """Notice, after a while, that a kubelet no longer reports."""
        node = self._site.store.get(NODES, name)
        if node is not None:
            uid = node["metadata"]["uid"]
            self._site.agenda.after(SILENCE_SECONDS, lambda: self._give_up(name, uid, never=False))

    def found_silent(self, name: str) -> None:
        """Take a node as given up on in the past."""
        node = self._site.store.get(NODES, name)
        if node is not None:
            self._give_up(name, node["metadata"]["uid"], never=False)

    def _give_up(self, name: str, uid: str, *, never: bool) -> None:
        node = self._site.node(name, uid)
        if node is None or self._kubelets.serves(name):
            return
        if never and condition_of(node, "Ready"):
            return
        reason, message = (
            ("NodeStatusNeverUpdated", "Kubelet never posted node status.")
            if never
            else ("NodeStatusUnknown", "Kubelet stopped posting node status.")
        )
        stamp = self._site.stamp()

        def write(copy: Json) -> None:
            status = copy.setdefault("status", {})
            known = {each.get("type"): each for each in status.get("conditions") or ()}
            for kind in REPORTED:
                known[kind] = {
                    **(known.get(kind) or {}),
                    **condition(kind, "Unknown", reason, message, stamp, known.get(kind)),
                }
            status["conditions"] = list(known.values())

        self._site.store.update(NODES, name, write)
        self._unready_pods(name)

    def _unready_pods(self, name: str) -> None:
        stamp = self._site.stamp()
        for pod in self._site.store.pods_on(name):
            if is_ready(pod):
                metadata = pod["metadata"]
                self._site.store.update(
                    PODS, metadata["name"], lambda copy: make_unready(copy, stamp), metadata["namespace"]
                )

    def _tell_readiness(self, event: Event, node: Json) -> None:
        if not self._site.live or event.previous is None:
            return
        before = (condition_of(event.previous.object, "Ready") or {}).get("status")
        after = (condition_of(event.object, "Ready") or {}).get("status")
        if before != after:
            ready = after == "True"
            reason = "NodeReady" if ready else "NodeNotReady"
            self._site.tell(
                NODES,
                node,
                reason,
                f"Node {node['metadata']['name']} status is now: {reason}",
                source="kubelet" if ready else "node-controller",
                warning=not ready,
            )

    def _taint(self, node: Json) -> None:
        spec, name = node.get("spec") or {}, node["metadata"]["name"]
        taints = spec.get("taints") or []
        wanted = set()
        if spec.get("unschedulable"):
            wanted.add((UNSCHEDULABLE_TAINT, "NoSchedule"))
        ready = (condition_of(node, "Ready") or {}).get("status")
        if ready == "Unknown":
            wanted |= {(UNREACHABLE_TAINT, "NoSchedule"), (UNREACHABLE_TAINT, "NoExecute")}
        elif ready == "False":
            wanted |= {(NOT_READY_TAINT, "NoSchedule"), (NOT_READY_TAINT, "NoExecute")}
        elif ready is None:
            wanted.add((NOT_READY_TAINT, "NoSchedule"))
        present = {(each.get("key"), each.get("effect")) for each in taints if each.get("key") in _OURS}
        if wanted == present:
            return
        kept = [
            each
            for each in taints
            if each.get("key") not in _OURS or (each.get("key"), each.get("effect")) in wanted
        ]
        stamp = self._site.stamp()
        added = [
            {"key": key, "effect": effect, "timeAdded": stamp}
            for key, effect in sorted(wanted - present, reverse=True)
        ]

        def write(copy: Json) -> None:
            copy.setdefault("spec", {})["taints"] = [*kept, *added]
            if not copy["spec"]["taints"]:
                del copy["spec"]["taints"]

        self._site.store.update(NODES, name, write)
        for key in (each["key"] for each in added if each["effect"] == "NoExecute"):
            evict = partial(self._evict, name, node["metadata"]["uid"], key, stamp)
            self._site.agenda.after(_EVICT_SECONDS, evict)

    def _evict(self, name: str, uid: str, key: str, since: str) -> None:
        """End the pods that don't tolerate a taint, if it has been there since then."""
        node = self._site.node(name, uid)
        for taint in (node or {}).get("spec", {}).get("taints") or ():
            if (taint.get("key"), taint.get("effect"), taint.get("timeAdded")) != (key, "NoExecute", since):
                continue
            for pod in self._site.store.pods_on(name):
                lasting = [
                    each
                    for each in pod["spec"].get("tolerations") or ()
                    if each.get("tolerationSeconds") is None
                ]
                if not tolerates(lasting, taint) and "deletionTimestamp" not in pod["metadata"]:
                    message = (
                        f"Marking for deletion Pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
                    )
                    self._site.tell(
                        PODS, pod, "TaintManagerEviction", message, source="taint-eviction-controller"
                    )
                    self._site.end_pod(pod)

    def _remove_orphans(self, name: str) -> None:
        if self._site.store.get(NODES, name) is not None:
            return
        for pod in self._site.store.pods_on(name):
            self._site.store.delete(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"])
