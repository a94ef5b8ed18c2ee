"""Evictions over HTTP: each outcome that a drain has to tell apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from backends.simulated.objects import PDBS, PODS, Json
from tests.unit.simulated.api_client import Answer, Cluster, budget, pod, served


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with served() as running:
        yield running


async def evict(cluster: Cluster, name: str = "work-gpu-1", query: str = "", **body: Any) -> Answer:
    eviction = {
        "kind": "Eviction",
        "apiVersion": "policy/v1",
        "metadata": {"name": name, "namespace": "default"},
        **body,
    }
    return await cluster.ask("POST", f"/api/v1/namespaces/default/pods/{name}/eviction{query}", eviction)


def stored_pod(cluster: Cluster, name: str = "work-gpu-1") -> Json:
    found = cluster.store.get(PODS, name, "default")
    assert found is not None
    return found


def allowed(cluster: Cluster, name: str = "web-pdb") -> Any:
    found = cluster.store.get(PDBS, name, "default")
    assert found is not None
    return found["status"]["disruptionsAllowed"]


@pytest.mark.parametrize("version", ["policy/v1", "policy/v1beta1"])
async def test_an_eviction_marks_the_pod_and_says_created(cluster: Cluster, version: str) -> None:
    answer = await evict(cluster, apiVersion=version, deleteOptions={"gracePeriodSeconds": 7})
    assert (answer.status, answer.json["status"]) == (201, "Success")
    assert stored_pod(cluster)["metadata"]["deletionGracePeriodSeconds"] == 7
    marks = [each["reason"] for each in stored_pod(cluster)["status"]["conditions"]]
    assert "EvictionByEvictionAPI" in marks


async def test_a_budget_without_room_blocks_and_names_itself(cluster: Cluster) -> None:
    budget(cluster.store, "web-pdb", allowed=0, healthy=3, wanted=3)
    answer = await evict(cluster)
    assert (answer.status, answer.json["reason"]) == (429, "TooManyRequests")
    assert answer.json["details"]["causes"] == [
        {
            "reason": "DisruptionBudget",
            "message": "The disruption budget web-pdb needs 3 healthy pods and has 3 currently",
        }
    ]
    assert "Retry-After" not in answer.headers
    assert "deletionTimestamp" not in stored_pod(cluster)["metadata"]


async def test_a_budget_with_room_is_spent(cluster: Cluster) -> None:
    budget(cluster.store, "web-pdb", allowed=1, healthy=3, wanted=2)
    assert (await evict(cluster)).status == 201
    assert allowed(cluster) == 0
    assert (await evict(cluster, "work-gpu-2")).status == 429


async def test_a_budget_not_yet_worked_out_asks_for_ten_seconds(cluster: Cluster) -> None:
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    cluster.store.create(PDBS, {"metadata": {"name": "new", "namespace": "default"}, "spec": spec})
    answer = await evict(cluster)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "10")
    assert answer.json["details"]["retryAfterSeconds"] == 10


async def test_two_budgets_over_one_pod_are_an_internal_error(cluster: Cluster) -> None:
    for name in ("one", "two"):
        budget(cluster.store, name, allowed=1, healthy=3, wanted=2)
    answer = await evict(cluster)
    assert (answer.status, answer.json["reason"]) == (500, "InternalError")


async def test_a_budget_of_other_pods_or_namespaces_does_not_count(cluster: Cluster) -> None:
    budget(cluster.store, "db-pdb", allowed=0, healthy=1, wanted=1, app="db")
    assert (await evict(cluster)).status == 201


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
async def test_a_wrong_precondition_is_a_conflict(cluster: Cluster, field: str) -> None:
    answer = await evict(cluster, deleteOptions={"preconditions": {field: "1"}})
    assert (answer.status, answer.json["reason"]) == (409, "Conflict")
    assert "deletionTimestamp" not in stored_pod(cluster)["metadata"]


async def test_a_pod_that_is_gone_is_not_found(cluster: Cluster) -> None:
    answer = await evict(cluster, "nobody")
    assert (answer.status, answer.json["details"]) == (404, {"name": "nobody", "kind": "pods"})


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
async def test_a_pod_that_does_not_run_ignores_budgets(cluster: Cluster, phase: str) -> None:
    budget(cluster.store, "web-pdb", allowed=0, healthy=3, wanted=3)
    cluster.store.create(PODS, pod("idle", "gpu-1", phase=phase, app="web"))
    assert (await evict(cluster, "idle")).status == 201


async def test_a_pod_on_its_way_out_ignores_budgets(cluster: Cluster) -> None:
    budget(cluster.store, "web-pdb", allowed=1, healthy=3, wanted=2)
    assert [(await evict(cluster)).status, (await evict(cluster)).status] == [201, 201]


async def test_a_daemonset_pod_can_be_evicted(cluster: Cluster) -> None:
    daemon = pod("daemon", "gpu-1")
    daemon["metadata"]["ownerReferences"] = [
        {"kind": "DaemonSet", "name": "d", "uid": "u", "controller": True}
    ]
    cluster.store.create(PODS, daemon)
    assert (await evict(cluster, "daemon")).status == 201


@pytest.mark.parametrize(("policy", "status"), [(None, 429), ("AlwaysAllow", 201)])
async def test_a_pod_not_ready_goes_by_the_budgets_policy(
    cluster: Cluster, policy: str | None, status: int
) -> None:
    budget(cluster.store, "web-pdb", allowed=0, healthy=1, wanted=2)
    if policy:
        spec = {"unhealthyPodEvictionPolicy": policy}
        cluster.store.update(PDBS, "web-pdb", lambda obj: obj["spec"].update(spec), "default")
        cluster.store.update(
            PDBS, "web-pdb", lambda obj: obj["status"].update(observedGeneration=2), "default"
        )
    cluster.store.update(PODS, "work-gpu-1", lambda obj: obj["status"].update(conditions=[]), "default")
    assert (await evict(cluster)).status == status


@pytest.mark.parametrize(("room", "status"), [(1, 201), (0, 429)])
@pytest.mark.parametrize("query", [True, False])
async def test_a_dry_run_asks_the_budget_and_spends_nothing(
    cluster: Cluster, room: int, status: int, query: bool
) -> None:
    budget(cluster.store, "web-pdb", allowed=room, healthy=3, wanted=2)
    version = cluster.store.version
    dry: Json = {} if query else {"deleteOptions": {"dryRun": ["All"]}}
    answer = await evict(cluster, "work-gpu-1", "?dryRun=All" if query else "", **dry)
    assert (answer.status, cluster.store.version) == (status, version)


async def test_only_an_eviction_may_be_posted(cluster: Cluster) -> None:
    assert (await evict(cluster, kind="Pod")).status == 400
    assert (await cluster.get("/api/v1/namespaces/default/pods/work-gpu-1/eviction")).status == 405
