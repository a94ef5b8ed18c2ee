"""One orchestrator under contract: the simulator on a clock that tests move, or a real cluster that somebody lends.

A real cluster belongs to somebody: only nodes, namespaces, what is in them, and roles that were made here are touched, every name
is unique to the test, and everything made is removed at the end, also after a failure. Times there are real, so conditions are
polled.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from backends.kubernetes.actions import KubernetesWriter
from backends.kubernetes.connection import MERGE_PATCH, Api
from backends.kubernetes.kubeconfig import Access
from backends.kubernetes.our_keys import KWOK, OurKeys
from backends.kubernetes.reader import KubernetesReader
from backends.simulated.faults import Fault, FaultKind
from backends.simulated.serve import Simulation
from fleet.errors import Denied, FleetError, Missing, OutcomeUnknown
from fleet.holder import Hold
from fleet.node import Admission, NodeKey, Readiness
from fleet.operation import Effect, Outcome, Progress
from fleet.plan import Action, Before, NodeFacts, Step
from fleet.ports import Clock

KEYS = OurKeys()
PATIENCE = timedelta(seconds=90)
"""How long a condition may take to come true: a real scheduler, controllers and KWOK on two cores."""
TOLERATIONS = [{"key": KWOK, "operator": "Exists", "effect": "NoSchedule"}]
KWOK_TAINT = {"key": KWOK, "value": "fake", "effect": "NoSchedule"}
CAPACITY = {"cpu": "32", "memory": "256Gi", "pods": "110", "nvidia.com/gpu": "8"}
Json = dict[str, Any]


@dataclass(slots=True)
class Orchestrator:
    """What the contract tests drive. `simulation` is None on a real cluster."""

    api: Api
    reader: KubernetesReader
    writer: KubernetesWriter
    clock: Clock
    simulation: Simulation | None = None
    access: Access | None = None
    run: str = field(default_factory=lambda: f"qd-{uuid.uuid4().hex[:8]}")
    progress: list[Progress] = field(default_factory=list)
    _made: list[str] = field(default_factory=list)
    _opened: list[Api] = field(default_factory=list)
    _count: int = 0

    @property
    def source(self) -> str:
        return self.api.source

    @property
    def operation(self) -> str:
        return f"op-{self.run}"

    def unique(self, word: str) -> str:
        """A name that no other test and no other run has."""
        self._count += 1
        return f"{self.run}-{word}-{self._count}"

    def hold(
        self, verb: str = "cordon", *, by: str = "oncall", operation: str = "", reason: str = "a test"
    ) -> Hold:
        """A hold of this test's operation, or of another."""
        return Hold(by, reason, verb=verb, operation=operation or self.operation, since=self.clock.now())

    def step(self, key: NodeKey, action: Action, before: Before | None = None) -> Step:
        """A step as a plan would number it."""
        name = type(action).__name__.lower()
        return Step(f"{key}/{self.unique(name)}", key, action, name, before or Before())

    async def planned(self, key: NodeKey, action: Action) -> Step:
        """A step that remembers the node as it is now, as a plan does, and is prepared as the dispatcher does."""
        facts = await self.facts(key)
        node = facts.node
        before = Before(node.uid, node.boot_id, node.image.running, facts.unschedulable, node.holds)
        return await self.writer.prepare(self.step(key, action, before))

    async def perform(self, key: NodeKey, action: Action) -> Outcome:
        """Plan, prepare and perform one action."""
        return await self.writer.perform(await self.planned(key, action), self.progress.append)

    async def effect(self, step: Step) -> Effect:
        return await self.writer.effect_of(step)

    async def facts(self, key: NodeKey) -> NodeFacts:
        """The node as the reader has it now. Raises Missing."""
        found = (await self.reader.read([key])).get(key)
        if found is None:
            raise Missing("not there", about=key.name)
        return found

    async def settle(
        self, condition: Callable[[], Awaitable[bool]], what: str, deadline: timedelta = PATIENCE
    ) -> None:
        """Poll `condition` by real reads until it holds. Raises AssertionError naming `what` after `deadline`."""
        until = self.clock.monotonic() + deadline.total_seconds()
        while not await condition():
            if self.clock.monotonic() >= until:
                raise AssertionError(f"not so after {deadline.total_seconds():g} s: {what}")
            await self.clock.sleep(timedelta(seconds=0.5))

    async def get(self, path: str, query: tuple[tuple[str, str], ...] = ()) -> Json:
        read: Json = json.loads(await self.api.get(path, query))
        return read

    async def raw_node(self, key: NodeKey) -> Json:
        return await self.get(f"/api/v1/nodes/{key.name}")

    async def exists(self, path: str) -> bool:
        try:
            await self.api.get(path)
        except Missing:
            return False
        return True

    async def pods(self, key: NodeKey) -> list[Json]:
        """Every pod bound to the node."""
        found = await self.get("/api/v1/pods", (("fieldSelector", f"spec.nodeName={key.name}"),))
        items: list[Json] = found["items"]
        return items

    async def patch_node(self, key: NodeKey, patch: Json) -> None:
        """Change a node as a colleague would, with another tool."""
        await self.api.send(
            "PATCH", f"/api/v1/nodes/{key.name}", json.dumps(patch).encode(), content_type=MERGE_PATCH
        )

    async def make(self, path: str, manifest: Json) -> Json:
        """Create an object, and remember to remove it."""
        made: Json = json.loads(await self.api.send("POST", path, json.dumps(manifest).encode()))
        self._made.append(f"{path}/{made['metadata']['name']}")
        return made

    def adopt(self, key: NodeKey) -> None:
        """Remove a node at the end that a step under test makes."""
        self._made.append(f"/api/v1/nodes/{key.name}")

    def closes(self, api: Api) -> None:
        """Close another way to this cluster at the end."""
        self._opened.append(api)

    async def node(
        self, *, image: str = "v1", taints: tuple[Json, ...] = (), wait: bool = True, **labels: str
    ) -> NodeKey:
        """A Ready node without a machine, in service at `image`, with 8 GPUs."""
        name = self.unique("node")
        marks = {
            "kubernetes.io/hostname": name,
            "type": "kwok",
            KEYS.category: self.run,
            KEYS.image_version: image,
            KEYS.lifecycle: "in-service",
        } | {key.replace("__", "/"): value for key, value in labels.items()}
        await self.make(
            "/api/v1/nodes",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": marks, "annotations": {KWOK: "fake"}},
                "spec": {"taints": [KWOK_TAINT, *taints]},
                "status": {"capacity": CAPACITY, "allocatable": CAPACITY},
            },
        )
        key = NodeKey(self.source, name)
        if wait:
            await self.until_ready(key)
        return key

    async def until_ready(self, key: NodeKey) -> None:
        """Wait until the node's agent says Ready and its first taints are gone."""

        async def ready() -> bool:
            facts = await self.facts(key)
            return facts.node.readiness is Readiness.READY and not any(
                taint.key.startswith("node.kubernetes.io/not-ready") for taint in facts.node.taints
            )

        if self.simulation is not None:
            await self.simulation.advance(timedelta(minutes=3))
        await self.settle(ready, f"{key.name} is Ready", timedelta(minutes=4))

    async def until_open(self, key: NodeKey) -> None:
        """Wait until the node is open, for the control plane takes its own cordon taint off a moment later."""

        async def opened() -> bool:
            return (await self.facts(key)).node.admission is Admission.OPEN

        await self.settle(opened, f"{key.name} is open")

    async def namespace(self) -> str:
        name = self.unique("space")
        await self.make(
            "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        )
        return name

    async def replicas(
        self,
        key: NodeKey,
        space: str,
        count: int = 1,
        *,
        scratch: bool = False,
        app: str = "web",
        patience: timedelta = PATIENCE,
    ) -> str:
        """A ReplicaSet whose pods may run on this node only. Waits until they do."""
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": app, "namespace": space},
            "spec": {
                "replicas": count,
                "selector": {"matchLabels": {"app": app}},
                "template": {
                    "metadata": {"labels": {"app": app}, "annotations": {"sim.node.lab/stops-in": "1"}},
                    "spec": pod_spec(key, scratch=scratch),
                },
            },
        }
        await self.make(f"/apis/apps/v1/namespaces/{space}/replicasets", manifest)
        await self.until_running(key, app, count, patience)
        return app

    async def daemon(self, key: NodeKey, space: str, app: str = "agent") -> str:
        """A DaemonSet that runs on this node only. Waits until its pod does."""
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": app, "namespace": space},
            "spec": {
                "selector": {"matchLabels": {"app": app}},
                "template": {"metadata": {"labels": {"app": app}}, "spec": pod_spec(key)},
            },
        }
        await self.make(f"/apis/apps/v1/namespaces/{space}/daemonsets", manifest)
        await self.until_running(key, app, 1)
        return app

    async def bare_pod(self, key: NodeKey, space: str, name: str = "alone", *, gpus: int = 0) -> str:
        """A pod without a controller, with GPUs where they are asked for. Waits until it runs."""
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": space,
                "labels": {"app": name},
                "annotations": {"sim.node.lab/stops-in": "1"},
            },
            "spec": pod_spec(key, gpus=gpus),
        }

        async def taken() -> bool:
            try:
                await self.make(f"/api/v1/namespaces/{space}/pods", manifest)
            except (
                Denied,
                OutcomeUnknown,
            ):  # until the namespace has its service account, and that its token
                return False
            return True

        await self.settle(taken, "the namespace takes pods")
        await self.until_running(key, name, 1)
        return name

    async def budget(self, space: str, app: str, *, least: int, name: str = "") -> str:
        """A budget over an app's pods. Waits until the controller has counted them."""
        name = name or f"{app}-pdb"
        path = f"/apis/policy/v1/namespaces/{space}/poddisruptionbudgets"
        manifest = {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": name, "namespace": space},
            "spec": {"minAvailable": least, "selector": {"matchLabels": {"app": app}}},
        }
        await self.make(path, manifest)

        async def counted() -> bool:
            status = (await self.get(f"{path}/{name}")).get("status") or {}
            healthy: int = status.get("currentHealthy", 0)
            return healthy > 0 and status.get("observedGeneration") == 1

        await self.settle(counted, "the budget is counted")
        return name

    async def loosen(self, space: str, budget: str) -> None:
        """Let a budget's owner allow everything."""
        path = f"/apis/policy/v1/namespaces/{space}/poddisruptionbudgets/{budget}"
        await self.api.send("PATCH", path, b'{"spec": {"minAvailable": 0}}', content_type=MERGE_PATCH)

    async def finish(self, space: str, pod: str) -> None:
        """Let a pod have succeeded, as its kubelet would say."""
        path = f"/api/v1/namespaces/{space}/pods/{pod}/status"
        await self.api.send("PATCH", path, b'{"status": {"phase": "Succeeded"}}', content_type=MERGE_PATCH)

    async def cut_off(self, key: NodeKey) -> None:
        """Let a simulated node fall silent, and wait until it is given up."""
        assert self.simulation is not None, "only a simulated node can be cut off"
        self.simulation.world.inject(Fault(FaultKind.UNREACHABLE, key.name))

        async def given_up() -> bool:
            return (await self.facts(key)).node.readiness is Readiness.UNKNOWN

        await self.settle(given_up, f"{key.name} is given up", timedelta(minutes=10))

    async def until_running(self, key: NodeKey, app: str, count: int, patience: timedelta = PATIENCE) -> None:
        async def running() -> bool:
            pods = [pod for pod in await self.pods(key) if pod["metadata"]["labels"].get("app") == app]
            return sum(_ready(pod) for pod in pods) >= count

        await self.settle(running, f"{count} of {app} run on {key.name}", patience)

    async def clean_up(self) -> None:
        """Remove whatever was made, newest first, whatever each removal says."""
        for api in self._opened:
            await api.close()
        for path in reversed(self._made):
            if path.startswith("/api/v1/nodes/"):
                await self._clear(path.rpartition("/")[2])
            try:
                await self.api.send(
                    "DELETE", path, b'{"propagationPolicy": "Background", "gracePeriodSeconds": 0}'
                )
            except FleetError:
                continue

    async def _clear(self, node: str) -> None:
        """Take the pods of a node of ours away at once, for without it nobody would stop them for a minute."""
        try:
            pods = await self.pods(NodeKey(self.source, node))
            for pod in pods:
                meta = pod["metadata"]
                path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
                await self.api.send("DELETE", path, b'{"gracePeriodSeconds": 0}')
        except FleetError:
            return


def pod_spec(key: NodeKey, *, scratch: bool = False, gpus: int = 0) -> Json:
    """A pod that may run on one node only, stops within a second, and tolerates KWOK's taint and no other."""
    spec: Json = {
        "nodeSelector": {"kubernetes.io/hostname": key.name},
        "tolerations": TOLERATIONS,
        "terminationGracePeriodSeconds": 2,
        "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
    }
    if gpus:
        spec["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    if scratch:
        spec["volumes"] = [{"name": "scratch", "emptyDir": {}}]
    return spec


def _ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


async def keep_time_moving(simulation: Simulation, step: timedelta = timedelta(seconds=0.25)) -> None:
    """Let simulated time pass, in small steps between which real requests are answered."""
    while True:
        await asyncio.sleep(0.002)
        await simulation.advance(step)
