"""kubectl itself, as a process, against the simulated API server; what it did is read back from the store.

To try another kubectl, put it first in PATH.
"""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from backends.simulated.objects import DAEMONSETS, EVENTS, NODES, PODS, Event, Json
from tests.servers import require
from tests.unit.simulated.api_client import Cluster, budget, node, pod, served

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("kubectl")]


class Kubectl:
    """The program, with a kubeconfig and a cache of its own."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self._program = program
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(kubeconfig.parent)}

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        """The exit status and all output of one call."""
        async with self.running(*arguments) as process, asyncio.timeout(20):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def shows(self, *arguments: str) -> str:
        """The output of a call that must succeed."""
        status, output = await self(*arguments)
        assert status == 0, output
        return output

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[Process]:
        """A call that is killed at the end if it has not ended."""
        process = await asyncio.create_subprocess_exec(
            self._program, *arguments, env=self._environment, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


async def line_with(process: Process, text: str) -> str:
    """The next line of output that has `text` in it."""
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while line := await process.stdout.readline():
            if text in line.decode():
                return line.decode()
    raise AssertionError(f"the output ended without {text!r}")


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with served(token="secret") as running:
        store = running.store

        def stop_pods(event: Event) -> None:
            metadata = event.object["metadata"]
            if event.resource is PODS and event.type == "MODIFIED" and metadata.get("deletionTimestamp"):
                store.delete(PODS, metadata["name"], metadata["namespace"])

        store.subscribe(stop_pods)
        yield running


@pytest.fixture
def kubectl(cluster: Cluster, tmp_path: Path) -> Kubectl:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(cluster.api.kubeconfig())
    return Kubectl(require("kubectl"), kubeconfig)


def stored(cluster: Cluster, name: str = "gpu-1") -> Json:
    found = cluster.store.get(NODES, name)
    assert found is not None
    return found


def pods(cluster: Cluster) -> list[str]:
    return [each["metadata"]["name"] for each in cluster.store.list(PODS)]


def owned(obj: Json, kind: str, name: str) -> Json:
    obj["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": True}
    ]
    return obj


async def test_get_prints_the_servers_columns(cluster: Cluster, kubectl: Kubectl) -> None:
    nodes = (await kubectl.shows("get", "nodes")).splitlines()
    assert nodes[0].split() == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert [line.split()[:3] for line in nodes[1:]] == [
        ["gpu-1", "Ready", "<none>"],
        ["gpu-2", "Ready", "<none>"],
    ]
    assert "CONTAINER-RUNTIME" in await kubectl.shows("get", "nodes", "-o", "wide")
    every_pod = await kubectl.shows("get", "pods", "-A", "--field-selector", "spec.nodeName=gpu-2")
    assert [line.split()[:4] for line in every_pod.splitlines()[1:]] == [
        ["default", "work-gpu-2", "0/1", "Running"]
    ]


async def test_get_as_json_gives_the_stored_object(cluster: Cluster, kubectl: Kubectl) -> None:
    shown = json.loads(await kubectl.shows("get", "node", "gpu-1", "-o", "json"))
    assert shown == {"kind": "Node", "apiVersion": "v1", **stored(cluster)}
    selected = await kubectl.shows("get", "nodes", "-l", "category in (a100,b200)", "-o", "name")
    assert selected.split() == ["node/gpu-2"]


async def test_get_w_follows(cluster: Cluster, kubectl: Kubectl) -> None:
    async with kubectl.running("get", "nodes", "-w") as process:
        await line_with(process, "gpu-2")
        await cluster.api.until_watched(1)
        cluster.store.update(NODES, "gpu-1", lambda obj: obj["spec"].update(unschedulable=True))
        assert "SchedulingDisabled" in await line_with(process, "gpu-1")


async def test_describe_shows_pods_and_events(cluster: Cluster, kubectl: Kubectl) -> None:
    # The one uid that every kubectl looks for: older ones ask for no other than the name.
    about = {"kind": "Node", "name": "gpu-1", "uid": "gpu-1"}
    event = {"involvedObject": about, "type": "Warning", "reason": "Hot", "message": "It is hot", "count": 1}
    cluster.store.create(EVENTS, {"metadata": {"name": "e", "namespace": "default"}, **event})
    shown = await kubectl.shows("describe", "node", "gpu-1")
    assert "work-gpu-1" in shown
    assert "It is hot" in shown
    assert "work-gpu-2" not in shown


async def test_cordon_and_uncordon(cluster: Cluster, kubectl: Kubectl) -> None:
    await kubectl.shows("cordon", "gpu-1")
    assert stored(cluster)["spec"] == {"unschedulable": True}
    await kubectl.shows("uncordon", "gpu-1")
    assert stored(cluster)["spec"] == {}


async def test_label_annotate_and_taint(cluster: Cluster, kubectl: Kubectl) -> None:
    await kubectl.shows("label", "node", "gpu-1", "node.lab/lifecycle=gated", "category-")
    await kubectl.shows("annotate", "node", "gpu-1", "node.lab/note=two words")
    await kubectl.shows("taint", "node", "gpu-1", "node.lab/health-gate=pending:NoSchedule")
    node = stored(cluster)
    assert node["metadata"]["labels"] == {"node.lab/lifecycle": "gated"}
    assert node["metadata"]["annotations"] == {"node.lab/note": "two words"}
    assert node["spec"]["taints"] == [
        {"key": "node.lab/health-gate", "value": "pending", "effect": "NoSchedule"}
    ]
    await kubectl.shows("taint", "node", "gpu-1", "node.lab/health-gate-")
    assert stored(cluster)["spec"] == {}


async def test_drain_evicts_work_and_leaves_daemons(cluster: Cluster, kubectl: Kubectl) -> None:
    cluster.store.create(DAEMONSETS, {"metadata": {"name": "agent", "namespace": "kube-system"}, "spec": {}})
    cluster.store.create(PODS, owned(pod("agent-1", "gpu-1", "kube-system"), "DaemonSet", "agent"))
    cluster.store.create(PODS, owned(pod("owned", "gpu-1"), "ReplicaSet", "web"))
    status, told = await kubectl("drain", "gpu-1", "--ignore-daemonsets")
    assert status != 0
    assert "work-gpu-1" in told
    assert len(pods(cluster)) == 4
    await kubectl.shows("drain", "gpu-1", "--ignore-daemonsets", "--force")
    assert pods(cluster) == ["work-gpu-2", "agent-1"]
    assert stored(cluster)["spec"] == {"unschedulable": True}
    assert ("POST", "/api/v1/namespaces/default/pods/owned/eviction") in {
        (method, path.partition("?")[0]) for method, path in cluster.api.requests
    }
    assert not [each for each in cluster.api.requests if each[0] == "DELETE"]


async def test_drain_waits_for_a_budget(cluster: Cluster, kubectl: Kubectl) -> None:
    budget(cluster.store, "web-pdb", allowed=0, healthy=2, wanted=2)
    async with kubectl.running("drain", "gpu-1", "--force") as process:
        assert "will retry after 5s" in await line_with(process, "disruption budget")
    assert "work-gpu-1" in pods(cluster)


async def test_delete_a_node(cluster: Cluster, kubectl: Kubectl) -> None:
    await kubectl.shows("delete", "node", "gpu-2")
    assert cluster.store.get(NODES, "gpu-2") is None
    status, told = await kubectl("delete", "node", "gpu-2")
    assert (status, told.strip()) == (1, 'Error from server (NotFound): nodes "gpu-2" not found')


async def test_create_a_node_from_a_file(cluster: Cluster, kubectl: Kubectl, tmp_path: Path) -> None:
    manifest = tmp_path / "node.json"
    manifest.write_text(json.dumps({"kind": "Node", "apiVersion": "v1", **node("gpu-3", category="h100")}))
    await kubectl.shows("create", "--validate=false", "-f", str(manifest))
    assert stored(cluster, "gpu-3")["metadata"]["labels"] == {"category": "h100"}


async def test_auth_can_i_and_a_refusal_agree(cluster: Cluster, kubectl: Kubectl) -> None:
    cluster.api.deny("delete", "nodes")
    assert "yes" in await kubectl.shows("auth", "can-i", "patch", "nodes")
    status, told = await kubectl("auth", "can-i", "delete", "nodes")
    assert (status, told.splitlines()[-1]) == (1, "no")
    status, told = await kubectl("delete", "node", "gpu-1")
    assert status == 1
    assert "Forbidden" in told
    assert cluster.store.get(NODES, "gpu-1") is not None
