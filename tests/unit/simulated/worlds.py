"""A simulated world on a clock that a test moves, and short words for what tests do to it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from backends.simulated.fleet_plan import plan_fleet
from backends.simulated.objects import DAEMONSETS, DEPLOYMENTS, JOBS, NODES, PDBS, PODS, Json, timestamp
from backends.simulated.world import World
from tests.clocks import ManualClock

GPU = "nvidia.com/gpu"
GATE = {"key": "node.lab/health-gate", "value": "pending", "effect": "NoSchedule"}


class Bench:
    """A world and its clock."""

    def __init__(self, nodes: int = 60, seed: int = 1, speed: float = 1.0) -> None:
        self.clock = ManualClock()
        self.world = World(plan_fleet(nodes, seed), self.clock, speed)
        self.store = self.world.store

    def after(self, seconds: float) -> None:
        self.world.advance(timedelta(seconds=seconds))

    def node(self, name: str) -> Json:
        found = self.store.get(NODES, name)
        assert found is not None, f"no node {name}"
        return found

    def pods_on(self, name: str) -> list[Json]:
        """The work on a node: what a drain would move."""
        return [pod for pod in self.store.pods_on(name) if kind_of_owner(pod) != "DaemonSet"]

    def pods_of(self, name: str) -> list[Json]:
        """The pods labelled with that app, on their way out or not."""
        return [pod for pod in self.store.list(PODS) if pod["metadata"].get("labels", {}).get("app") == name]

    def pod(self, name: str, namespace: str) -> Json | None:
        return self.store.get(PODS, name, namespace)

    def change_node(self, name: str, **spec: Any) -> None:
        self.store.update(NODES, name, lambda node: node["spec"].update(spec))

    def mark_deleted(self, pod: Json, grace: int = 30) -> None:
        """What the API server does for a DELETE or an eviction that is let through."""

        def mark(copy: Json) -> None:
            copy["metadata"]["deletionTimestamp"] = timestamp(self.clock.now() + timedelta(seconds=grace))
            copy["metadata"]["deletionGracePeriodSeconds"] = grace

        self.store.update(PODS, pod["metadata"]["name"], mark, pod["metadata"]["namespace"])

    def recreate(self, name: str, image: str, **metadata: Any) -> Json:
        """What the imager `recreate` does: the Node goes and comes back at another image, gated."""
        before = self.store.delete(NODES, name)
        labels = {**before["metadata"]["labels"], "node.lab/image-version": image}
        return self.store.create(
            NODES,
            {
                "metadata": {
                    "name": name,
                    "labels": labels,
                    "annotations": {"kwok.x-k8s.io/node": "fake"},
                    **metadata,
                },
                "spec": {"taints": [GATE]},
                "status": {"capacity": {GPU: "64"}, "allocatable": {GPU: "64"}},
            },
        )

    def deploy(
        self, name: str, replicas: int, *, gpus: int = 0, namespace: str = "default", **spec: Any
    ) -> Json:
        """A Deployment as a client would post it."""
        resources = {"requests": {"cpu": "1"}, "limits": {GPU: str(gpus)}} if gpus else {}
        labels = {"app": name}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "x", "resources": resources}], **spec},
        }
        return self.store.create(
            DEPLOYMENTS,
            {
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
            },
        )

    def start_job(self, name: str, pods: int, *, seconds: int | None = None) -> Json:
        notes = {} if seconds is None else {"sim.node.lab/runs-for": str(seconds)}
        template = {
            "metadata": {"labels": {"app": name}, "annotations": notes},
            "spec": {"containers": [{"name": "main", "image": "x"}], "restartPolicy": "Never"},
        }
        spec = {"parallelism": pods, "completions": pods, "template": template}
        return self.store.create(JOBS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})

    def daemon(self, name: str, **spec: Any) -> Json:
        template = {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": "x"}], **spec},
        }
        return self.store.create(
            DAEMONSETS,
            {
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
            },
        )

    def guard(self, name: str, **spec: Any) -> None:
        selector = {"matchLabels": {"app": name}}
        self.store.create(
            PDBS, {"metadata": {"name": name, "namespace": "default"}, "spec": {"selector": selector, **spec}}
        )

    def allowed(self, name: str, namespace: str = "default") -> int:
        budget = self.store.get(PDBS, name, namespace)
        assert budget is not None
        return int(budget["status"]["disruptionsAllowed"])

    def everything(self) -> str:
        """Every object as text, to compare two worlds by."""
        return json.dumps([self.store.list(kind) for kind in (NODES, PODS, DEPLOYMENTS, JOBS, PDBS)])


def kind_of_owner(pod: Json) -> str:
    owners = pod["metadata"].get("ownerReferences") or [{}]
    return str(owners[0].get("kind", ""))


def status_of(node: Json, condition: str = "Ready") -> str | None:
    for each in node["status"].get("conditions") or ():
        if each["type"] == condition:
            return str(each["status"])
    return None


def taints_of(node: Json) -> list[str]:
    return sorted({each["key"] for each in node["spec"].get("taints") or ()})


def gpus_of(node: Json) -> tuple[str | None, str | None]:
    """GPUs in capacity and allocatable."""
    status = node["status"]
    return status.get("capacity", {}).get(GPU), status.get("allocatable", {}).get(GPU)
