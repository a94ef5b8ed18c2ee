"""Creating, changing and deleting over HTTP, with the refusals of the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from backends.simulated.objects import CONFIGMAPS, EVENTS, LEASES, NAMESPACES, NODES, PODS, Json, timestamp
from backends.simulated.patches import JSON_PATCH, MERGE, STRATEGIC
from tests.clocks import START
from tests.unit.simulated.api_client import Cluster, node, pod, served

GPU_1 = "/api/v1/nodes/gpu-1"
PODS_PATH = "/api/v1/namespaces/default/pods"
EVENTS_PATH = "/apis/events.k8s.io/v1/namespaces/default/events"
LEASES_PATH = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
TAINT = {"key": "node.lab/health-gate", "value": "pending", "effect": "NoSchedule"}


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with served() as running:
        yield running


def stored_node(cluster: Cluster, name: str = "gpu-1") -> Json:
    found = cluster.store.get(NODES, name)
    assert found is not None
    return found


def as_sent(kind: str, obj: Json, api_version: str = "v1") -> Json:
    return {"kind": kind, "apiVersion": api_version, **obj}


async def test_a_guarded_patch_changes_everything_of_one_step_at_once(cluster: Cluster) -> None:
    version = stored_node(cluster)["metadata"]["resourceVersion"]
    patch = {
        "metadata": {"resourceVersion": version, "labels": {"a": "1"}, "annotations": {"b": "2"}},
        "spec": {"unschedulable": True, "taints": [TAINT]},
    }
    answer = await cluster.patch(GPU_1, patch)
    assert answer.status == 200
    assert answer.json["spec"] == stored_node(cluster)["spec"] == {"unschedulable": True, "taints": [TAINT]}
    assert stored_node(cluster)["metadata"]["labels"] == {"category": "h100", "a": "1"}


@pytest.mark.parametrize("guard", [{"resourceVersion": "1"}, {"uid": "another"}])
async def test_a_stale_guard_is_a_conflict_that_changes_nothing(cluster: Cluster, guard: Json) -> None:
    answer = await cluster.patch(GPU_1, {"metadata": guard, "spec": {"unschedulable": True}})
    assert (answer.status, answer.json["reason"]) == (409, "Conflict")
    assert answer.json["details"] == {"name": "gpu-1", "kind": "nodes"}
    assert stored_node(cluster)["spec"] == {}


async def test_an_uncordon_leaves_no_trace_in_the_spec(cluster: Cluster) -> None:
    await cluster.patch(GPU_1, {"spec": {"unschedulable": True}}, STRATEGIC)
    answer = await cluster.patch(GPU_1, {"spec": {"unschedulable": None, "taints": []}}, STRATEGIC)
    assert answer.json["spec"] == {}
    assert (await cluster.patch(GPU_1, {"spec": {"unschedulable": False}})).json["spec"] == {}


async def test_a_patch_that_changes_nothing_makes_no_version(cluster: Cluster) -> None:
    version = cluster.store.version
    assert (await cluster.patch(GPU_1, {"metadata": {"labels": {"category": "h100"}}})).status == 200
    assert cluster.store.version == version


@pytest.mark.parametrize("media", ["application/apply-patch+yaml", "application/json", "text/plain"])
async def test_other_patch_formats_are_unsupported(cluster: Cluster, media: str) -> None:
    answer = await cluster.patch(GPU_1, {"spec": {"unschedulable": True}}, media)
    assert (answer.status, answer.json["reason"]) == (415, "UnsupportedMediaType")
    assert stored_node(cluster)["spec"] == {}


async def test_a_json_patch_is_applied(cluster: Cluster) -> None:
    operations = [{"op": "add", "path": "/spec/unschedulable", "value": True}]
    assert (await cluster.patch(GPU_1, operations, JSON_PATCH)).json["spec"] == {"unschedulable": True}


async def test_status_is_changed_at_its_own_address_only(cluster: Cluster) -> None:
    condition = {"type": "Ready", "status": "False"}
    patch = {"spec": {"unschedulable": True}, "status": {"conditions": [condition]}}
    before = stored_node(cluster)["status"]
    await cluster.patch(GPU_1, patch)
    assert (stored_node(cluster)["spec"], stored_node(cluster)["status"]) == ({"unschedulable": True}, before)
    patch["spec"] = {"unschedulable": None}
    answer = await cluster.patch(f"{GPU_1}/status", patch)
    assert answer.json["spec"] == {"unschedulable": True}
    assert stored_node(cluster)["status"]["conditions"] == [condition]


@pytest.mark.parametrize(
    ("patch", "reason", "field"),
    [
        (
            {"spec": {"taints": [{"key": "a", "effect": "Wrong"}]}},
            "FieldValueNotSupported",
            "spec.taints[0].effect",
        ),
        (
            {"spec": {"taints": [{"key": "", "effect": "NoExecute"}]}},
            "FieldValueInvalid",
            "spec.taints[0].key",
        ),
        ({"spec": {"taints": [TAINT, TAINT]}}, "FieldValueDuplicate", "spec.taints[1]"),
        ({"metadata": {"labels": {"a": "x" * 64}}}, "FieldValueInvalid", "metadata.labels"),
        ({"metadata": {"labels": {"a": "not ok"}}}, "FieldValueInvalid", "metadata.labels"),
        ({"metadata": {"labels": {"UPPER.example/a": "1"}}}, "FieldValueInvalid", "metadata.labels"),
        ({"metadata": {"labels": {"a" * 64: "1"}}}, "FieldValueInvalid", "metadata.labels"),
        ({"metadata": {"annotations": {"a": "x" * 262_144}}}, "FieldValueTooLong", "metadata.annotations"),
    ],
)
async def test_what_may_not_be_stored_is_invalid(
    cluster: Cluster, patch: Json, reason: str, field: str
) -> None:
    answer = await cluster.patch(GPU_1, patch)
    assert (answer.status, answer.json["reason"]) == (422, "Invalid")
    assert answer.json["details"]["kind"] == "Node"
    assert [(each["reason"], each["field"]) for each in answer.json["details"]["causes"]] == [(reason, field)]


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"name": "other"}},
        b"{broken",
    ],
)
async def test_a_patch_that_cannot_be_read_is_a_bad_request(cluster: Cluster, patch: Any) -> None:
    answer = await cluster.patch(GPU_1, patch, MERGE)
    assert (answer.status, answer.json["reason"]) == (400, "BadRequest")


async def test_a_node_is_created_with_its_status_and_its_taint(cluster: Cluster) -> None:
    new = node("gpu-9", category="h100")
    new["spec"]["taints"] = [TAINT]
    answer = await cluster.ask("POST", "/api/v1/nodes", as_sent("Node", new))
    assert (answer.status, answer.json["kind"]) == (201, "Node")
    stored = stored_node(cluster, "gpu-9")
    assert stored["metadata"]["uid"] == answer.json["metadata"]["uid"]
    assert (stored["spec"]["taints"], stored["status"]) == ([TAINT], new["status"])


async def test_a_name_that_is_taken_is_refused(cluster: Cluster) -> None:
    answer = await cluster.ask("POST", "/api/v1/nodes", as_sent("Node", node("gpu-1")))
    assert (answer.status, answer.json["reason"]) == (409, "AlreadyExists")
    assert answer.json["message"] == 'nodes "gpu-1" already exists'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (as_sent("Pod", node("x")), 400),
        (node("x"), 400),
        (as_sent("Node", {"metadata": {}}), 400),
        (as_sent("Node", node("Upper_Case")), 422),
        (as_sent("Node", {"metadata": {"name": "x", "resourceVersion": "5"}}), 500),
        (as_sent("Node", {"metadata": {"name": "x"}, "spec": []}), 400),
        (b"not json", 400),
        ([], 400),
    ],
)
async def test_a_node_that_cannot_be_created_is_refused(cluster: Cluster, body: Any, status: int) -> None:
    answer = await cluster.ask("POST", "/api/v1/nodes", body)
    assert (answer.status, answer.json["kind"]) == (status, "Status")
    assert cluster.store.count(NODES) == 2


async def test_a_pod_created_is_pending_and_has_defaults(cluster: Cluster) -> None:
    new: Json = {
        "metadata": {"generateName": "job-"},
        "spec": {"containers": [{"name": "main"}]},
        "status": {"phase": "Running"},
    }
    answer = await cluster.ask("POST", PODS_PATH, as_sent("Pod", new))
    assert answer.status == 201
    assert answer.json["metadata"]["name"].startswith("job-")
    assert len(answer.json["metadata"]["name"]) == len("job-") + 5
    assert answer.json["status"]["phase"] == "Pending"
    assert answer.json["spec"]["terminationGracePeriodSeconds"] == 30


async def test_nothing_is_created_in_a_namespace_that_is_not_there(cluster: Cluster) -> None:
    answer = await cluster.ask(
        "POST", "/api/v1/namespaces/nowhere/pods", as_sent("Pod", pod("x", namespace="nowhere"))
    )
    assert (answer.status, answer.json["message"]) == (404, 'namespaces "nowhere" not found')


async def test_the_namespaces_of_body_and_address_agree(cluster: Cluster) -> None:
    answer = await cluster.ask("POST", PODS_PATH, as_sent("Pod", pod("x", namespace="kube-system")))
    assert answer.status == 400


async def test_a_put_replaces_and_a_stale_one_is_a_conflict(cluster: Cluster) -> None:
    got = (await cluster.get(GPU_1)).json
    got["metadata"]["labels"] = {"new": "1"}
    put = await cluster.ask("PUT", GPU_1, got)
    assert (put.status, put.json["metadata"]["labels"]) == (200, {"new": "1"})
    stale = await cluster.ask("PUT", GPU_1, got)
    assert (stale.status, stale.json["reason"]) == (409, "Conflict")
    assert (await cluster.ask("PUT", "/api/v1/nodes/gpu-2", got)).status == 400
    missing = as_sent("Node", node("nobody"))
    assert (await cluster.ask("PUT", "/api/v1/nodes/nobody", missing)).status == 404


async def test_a_lease_is_a_lock(cluster: Cluster) -> None:
    lease = as_sent(
        "Lease", {"metadata": {"name": "lock"}, "spec": {"holderIdentity": "a"}}, "coordination.k8s.io/v1"
    )
    made = await cluster.ask("PUT", f"{LEASES_PATH}/lock", lease)
    assert made.status == 201
    blind = await cluster.ask("PUT", f"{LEASES_PATH}/lock", {**lease, "spec": {"holderIdentity": "b"}})
    assert blind.status == 422
    taken = await cluster.ask("PUT", f"{LEASES_PATH}/lock", {**made.json, "spec": {"holderIdentity": "b"}})
    assert taken.status == 200
    late = await cluster.ask("PUT", f"{LEASES_PATH}/lock", {**made.json, "spec": {"holderIdentity": "c"}})
    assert late.status == 409
    held = cluster.store.get(LEASES, "lock", "default")
    assert held is not None
    assert held["spec"] == {"holderIdentity": "b"}


@pytest.mark.parametrize("change", ["patch", "create", "delete"])
async def test_a_dry_run_answers_and_stores_nothing(cluster: Cluster, change: str) -> None:
    version = cluster.store.version
    match change:
        case "patch":
            answer = await cluster.patch(f"{GPU_1}?dryRun=All", {"spec": {"unschedulable": True}})
            assert answer.json["spec"] == {"unschedulable": True}
        case "create":
            answer = await cluster.ask("POST", "/api/v1/nodes?dryRun=All", as_sent("Node", node("new")))
            assert answer.json["metadata"]["name"] == "new"
        case _:
            answer = await cluster.ask("DELETE", f"{GPU_1}?dryRun=All")
    assert answer.status in (200, 201)
    assert cluster.store.version == version


async def test_a_dry_run_still_checks(cluster: Cluster) -> None:
    assert (await cluster.patch(f"{GPU_1}?dryRun=All", {"metadata": {"resourceVersion": "1"}})).status == 409
    taken = await cluster.ask("POST", "/api/v1/nodes?dryRun=All", as_sent("Node", node("gpu-1")))
    assert taken.status == 409
    assert (await cluster.patch(f"{GPU_1}?dryRun=Some", {})).status == 422


async def test_a_node_is_deleted_at_once(cluster: Cluster) -> None:
    uid = stored_node(cluster)["metadata"]["uid"]
    answer = await cluster.ask("DELETE", GPU_1)
    assert (answer.status, answer.json["status"]) == (200, "Success")
    assert answer.json["details"] == {"name": "gpu-1", "kind": "nodes", "uid": uid}
    again = await cluster.ask("DELETE", GPU_1)
    assert (again.status, again.json["details"]) == (404, {"name": "gpu-1", "kind": "nodes"})


@pytest.mark.parametrize("precondition", [{"uid": "other"}, {"resourceVersion": "1"}])
async def test_a_delete_keeps_its_preconditions(cluster: Cluster, precondition: Json) -> None:
    answer = await cluster.ask("DELETE", GPU_1, {"preconditions": precondition})
    assert (answer.status, answer.json["reason"]) == (409, "Conflict")
    assert cluster.store.get(NODES, "gpu-1") is not None


async def test_a_pod_on_a_node_is_given_its_grace(cluster: Cluster) -> None:
    answer = await cluster.ask("DELETE", f"{PODS_PATH}/work-gpu-1")
    assert (answer.status, answer.json["kind"]) == (200, "Pod")
    metadata = answer.json["metadata"]
    assert metadata["deletionGracePeriodSeconds"] == 30
    assert metadata["deletionTimestamp"] == timestamp(START + timedelta(seconds=30))
    sooner = await cluster.ask("DELETE", f"{PODS_PATH}/work-gpu-1", {"gracePeriodSeconds": 5})
    assert sooner.json["metadata"]["deletionGracePeriodSeconds"] == 5
    assert cluster.store.get(PODS, "work-gpu-1", "default") is not None
    await cluster.ask("DELETE", f"{PODS_PATH}/work-gpu-1?gracePeriodSeconds=0")
    assert cluster.store.get(PODS, "work-gpu-1", "default") is None


@pytest.mark.parametrize("gone", [pod("x"), pod("x", "gpu-1", phase="Succeeded")])
async def test_a_pod_that_runs_nowhere_goes_at_once(cluster: Cluster, gone: Json) -> None:
    cluster.store.create(PODS, gone)
    assert (await cluster.ask("DELETE", f"{PODS_PATH}/x")).status == 200
    assert cluster.store.get(PODS, "x", "default") is None


async def test_a_finalizer_keeps_an_object_until_it_is_taken_off(cluster: Cluster) -> None:
    await cluster.patch(GPU_1, {"metadata": {"finalizers": ["owner.example/x"]}})
    answer = await cluster.ask("DELETE", GPU_1)
    assert answer.json["metadata"]["deletionTimestamp"] == timestamp(START)
    assert cluster.store.get(NODES, "gpu-1") is not None
    await cluster.patch(GPU_1, {"metadata": {"finalizers": None}})
    assert cluster.store.get(NODES, "gpu-1") is None


async def test_a_pod_whose_finalizer_is_taken_off_keeps_its_grace(cluster: Cluster) -> None:
    work = f"{PODS_PATH}/work-gpu-1"
    await cluster.patch(work, {"metadata": {"finalizers": ["owner.example/x"]}})
    await cluster.ask("DELETE", work, {"gracePeriodSeconds": 30})
    await cluster.patch(work, {"metadata": {"finalizers": None}})
    assert cluster.store.get(PODS, "work-gpu-1", "default") is not None
    await cluster.patch(work, {"metadata": {"finalizers": ["owner.example/x"]}})
    await cluster.ask("DELETE", work, {"gracePeriodSeconds": 0})
    await cluster.patch(work, {"metadata": {"finalizers": None}})
    assert cluster.store.get(PODS, "work-gpu-1", "default") is None


async def test_a_collection_is_deleted_by_selector(cluster: Cluster) -> None:
    cluster.store.create(PODS, pod("other"))
    answer = await cluster.ask("DELETE", f"{PODS_PATH}?labelSelector=app%3Dweb", {"gracePeriodSeconds": 0})
    assert (answer.status, answer.names) == (200, ["work-gpu-1", "work-gpu-2"])
    assert [each["metadata"]["name"] for each in cluster.store.list(PODS)] == ["other"]


async def test_a_namespace_takes_its_content_along(cluster: Cluster) -> None:
    cluster.store.create(CONFIGMAPS, {"metadata": {"name": "c", "namespace": "default"}})
    assert (await cluster.ask("DELETE", "/api/v1/namespaces/default")).status == 200
    assert (cluster.store.count(PODS), cluster.store.count(CONFIGMAPS)) == (0, 0)
    assert cluster.store.get(NAMESPACES, "default") is None


def event(**changed: Any) -> Json:
    said = {
        "metadata": {"name": "gpu-1.1"},
        "eventTime": "2026-03-01T03:00:00.000000Z",
        "reportingController": "quarterdeck",
        "reportingInstance": "desk",
        "action": "Cordon",
        "reason": "Cordoned",
        "type": "Normal",
        "note": "closed for maintenance",
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": "gpu-1", "uid": "gpu-1"},
    }
    return as_sent("Event", {**said, **changed}, "events.k8s.io/v1")


async def test_a_newer_event_is_kept_where_describe_looks_for_it(cluster: Cluster) -> None:
    answer = await cluster.ask("POST", EVENTS_PATH, event())
    assert (answer.status, answer.json["note"]) == (201, "closed for maintenance")
    kept = cluster.store.get(EVENTS, "gpu-1.1", "default")
    assert kept is not None
    assert (kept["message"], kept["involvedObject"]["name"]) == ("closed for maintenance", "gpu-1")
    patched = await cluster.patch(f"{EVENTS_PATH}/gpu-1.1", {"series": {"count": 2}})
    assert (patched.status, patched.json["series"]) == (200, {"count": 2})


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"note": "x" * 1025}, "note"),
        ({"eventTime": None}, "eventTime"),
        ({"action": ""}, "action"),
        ({"type": "Loud"}, "type"),
        ({"reason": "x" * 129}, "reason"),
        ({"regarding": {"kind": "Pod", "namespace": "other"}}, "regarding.namespace"),
    ],
)
async def test_an_event_out_of_bounds_is_invalid(cluster: Cluster, changed: Json, field: str) -> None:
    answer = await cluster.ask("POST", EVENTS_PATH, event(**changed))
    assert answer.status == 422
    assert [each["field"] for each in answer.json["details"]["causes"]] == [field]


async def test_a_pod_cannot_be_moved(cluster: Cluster) -> None:
    answer = await cluster.patch(f"{PODS_PATH}/work-gpu-1", {"spec": {"nodeName": "gpu-2"}})
    assert (answer.status, answer.json["reason"]) == (422, "Invalid")
