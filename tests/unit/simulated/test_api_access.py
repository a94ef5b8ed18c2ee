"""Who is let in, what exists, and the bad days that can be asked for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from backends.simulated.kubernetes_api import KubernetesApi
from tests.clocks import ManualClock
from tests.unit.simulated.api_client import Cluster, new_store, served

REVIEWS = "/apis/authorization.k8s.io/v1"


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with served() as running:
        yield running


async def may(cluster: Cluster, verb: str, resource: str, subresource: str = "") -> Any:
    asked = {"verb": verb, "resource": resource, "subresource": subresource}
    review = {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "spec": {"resourceAttributes": asked},
    }
    answer = await cluster.ask("POST", f"{REVIEWS}/selfsubjectaccessreviews", review)
    assert answer.status == 201
    return answer.json["status"]


async def test_drain_finds_the_eviction_subresource(cluster: Cluster) -> None:
    resources = (await cluster.get("/api/v1")).json["resources"]
    (eviction,) = [each for each in resources if each["name"] == "pods/eviction"]
    assert (eviction["group"], eviction["version"], eviction["kind"]) == ("policy", "v1", "Eviction")


async def test_discovery_documents_fit_together(cluster: Cluster) -> None:
    assert (await cluster.get("/api")).json["versions"] == ["v1"]
    groups = (await cluster.get("/apis")).json["groups"]
    assert {"apps", "policy", "events.k8s.io", "authorization.k8s.io"} <= {each["name"] for each in groups}
    for group in groups:
        version = group["preferredVersion"]["groupVersion"]
        listed = (await cluster.get(f"/apis/{version}")).json
        assert (listed["kind"], listed["groupVersion"]) == ("APIResourceList", version)
        assert (await cluster.get(f"/apis/{group['name']}")).json["kind"] == "APIGroup"
    assert (await cluster.get("/version")).json["major"] == "1"


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_health_is_plain_text(cluster: Cluster, path: str) -> None:
    answer = await cluster.get(path)
    assert (answer.status, answer.body) == (200, b"ok")


@pytest.mark.parametrize(
    "path", ["/apis/other.example/v1/things", "/openapi/v2", "/apis/policy/v2", "/nothing"]
)
async def test_an_unknown_group_is_plain_text_404(cluster: Cluster, path: str) -> None:
    answer = await cluster.get(path)
    assert (answer.status, answer.body) == (404, b"404 page not found\n")


@pytest.mark.parametrize(
    "path", ["/api/v1/things", "/api/v1/nodes/gpu-1/proxy", "/api/v1/pods/x", "/apis/apps/v1/pods"]
)
async def test_an_unknown_resource_is_a_status_404(cluster: Cluster, path: str) -> None:
    answer = await cluster.get(path)
    assert (answer.status, answer.json["reason"]) == (404, "NotFound")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/v1/nodes/gpu-1"), ("PATCH", "/api/v1/nodes"), ("DELETE", "/api/v1/nodes/gpu-1/status")],
)
async def test_a_method_out_of_place_is_not_allowed(cluster: Cluster, method: str, path: str) -> None:
    answer = await cluster.ask(method, path, {})
    assert (answer.status, answer.json["reason"]) == (405, "MethodNotAllowed")


async def test_a_denial_is_a_status_that_names_the_object(cluster: Cluster) -> None:
    cluster.api.deny("patch", "nodes")
    answer = await cluster.patch("/api/v1/nodes/gpu-1", {"spec": {"unschedulable": True}})
    assert (answer.status, answer.json["reason"]) == (403, "Forbidden")
    assert answer.json["details"] == {"name": "gpu-1", "kind": "nodes"}
    assert 'cannot patch resource "nodes" in API group "" at the cluster scope' in answer.json["message"]
    cluster.api.allow("patch", "nodes")
    assert (await cluster.patch("/api/v1/nodes/gpu-1", {})).status == 200


async def test_access_reviews_say_what_a_request_meets(cluster: Cluster) -> None:
    assert (await may(cluster, "create", "pods", "eviction"))["allowed"] is True
    cluster.api.deny("create", "pods/eviction")
    cluster.api.deny("*", "leases")
    assert await may(cluster, "create", "pods", "eviction") == {"allowed": False}
    assert (await may(cluster, "create", "pods"))["allowed"] is True
    assert (await may(cluster, "list", "leases"))["allowed"] is False


async def test_a_rules_review_lists_what_is_left_and_needs_a_namespace(cluster: Cluster) -> None:
    review: Any = {"kind": "SelfSubjectRulesReview", "apiVersion": "authorization.k8s.io/v1", "spec": {}}
    path = f"{REVIEWS}/selfsubjectrulesreviews"
    assert (await cluster.ask("POST", path, review)).status == 400
    review["spec"]["namespace"] = "default"
    everything = (await cluster.ask("POST", path, review)).json["status"]["resourceRules"]
    assert everything == [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    cluster.api.deny("delete", "nodes")
    cluster.api.deny("create", "pods/eviction")
    rules = (await cluster.ask("POST", path, review)).json["status"]["resourceRules"]
    by_name = {rule["resources"][0]: rule["verbs"] for rule in rules if rule["apiGroups"] == [""]}
    assert "delete" not in by_name["nodes"]
    assert "delete" in by_name["pods"]
    assert "pods/eviction" not in by_name


async def test_a_review_in_protobuf_is_understood(cluster: Cluster) -> None:
    cluster.api.deny("delete", "nodes")
    attributes = b"\x12\x06delete\x2a\x05nodes"
    spec = b"\x0a" + bytes([len(attributes)]) + attributes
    raw = b"\x12" + bytes([len(spec)]) + spec
    kind, version = b"SelfSubjectAccessReview", b"authorization.k8s.io/v1"
    typed = b"\x0a" + bytes([len(version)]) + version + b"\x12" + bytes([len(kind)]) + kind
    body = b"k8s\x00\x0a" + bytes([len(typed)]) + typed + b"\x12" + bytes([len(raw)]) + raw
    media, path = "application/vnd.kubernetes.protobuf", f"{REVIEWS}/selfsubjectaccessreviews"
    answer = await cluster.ask("POST", path, body, media=media)
    assert (answer.status, answer.json["status"]) == (201, {"allowed": False})
    for broken in (b"k8s\x00\x0a\xff", b"{}", body[:20], b"k8s\x00"):
        assert (await cluster.ask("POST", path, broken, media=media)).status == 400


async def test_a_token_is_right_or_401() -> None:
    async with served(token="right") as cluster:
        assert (await cluster.get("/api/v1/nodes", Authorization="Bearer right")).status == 200
        wrong = await cluster.get("/api/v1/nodes", Authorization="Bearer wrong")
        assert (wrong.status, wrong.json["reason"], wrong.json["message"]) == (
            401,
            "Unauthorized",
            "Unauthorized",
        )
        assert (await cluster.get("/api/v1/nodes")).status == 200
        cluster.api.reject_tokens()
        assert (await cluster.get("/api/v1/nodes", Authorization="Bearer right")).status == 401
        cluster.api.accept_tokens()
        assert (await cluster.get("/api/v1/nodes", Authorization="Bearer right")).status == 200


async def test_where_nobody_is_let_in_unknown_no_token_is_403() -> None:
    async with served(token="right", anonymous=False) as cluster:
        answer = await cluster.get("/api/v1/nodes")
        assert answer.status == 403
        assert 'User "system:anonymous" cannot list resource "nodes"' in answer.json["message"]


async def test_throttling_is_plain_text_for_as_many_requests_as_asked(cluster: Cluster) -> None:
    cluster.api.throttle(2, retry_after=3)
    for _ in range(2):
        answer = await cluster.get("/api/v1/nodes")
        assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
        assert answer.headers["Content-Type"].startswith("text/plain")
    assert (await cluster.get("/api/v1/nodes")).status == 200


async def test_a_delay_holds_every_answer_back(cluster: Cluster) -> None:
    before = cluster.clock.monotonic()
    cluster.api.delay(20)
    async with cluster.advancing():
        assert (await cluster.get("/api/v1/nodes")).status == 200
    assert cluster.clock.monotonic() - before >= timedelta(seconds=20).total_seconds()


async def test_requests_are_noted(cluster: Cluster) -> None:
    await cluster.get("/api/v1/nodes?limit=1")
    assert cluster.api.requests[-1] == ("GET", "/api/v1/nodes?limit=1")


async def test_a_route_of_ones_own_and_the_kubeconfig_share_the_token() -> None:
    async def paths(request: web.Request) -> web.StreamResponse:
        return web.json_response({"asked": request.path})

    clock = ManualClock()
    api = KubernetesApi(new_store(clock), clock, token="secret")
    api.register_route("GET", "/sim/{what}", paths)
    await api.start()
    try:
        async with served() as other:
            user = json.loads(api.kubeconfig())["users"][0]["user"]
            assert json.loads(api.kubeconfig())["clusters"][0]["cluster"]["server"] == api.url
            other.api = api
            answer = await other.get("/sim/faults", Authorization=f"Bearer {user['token']}")
            assert answer.json == {"asked": "/sim/faults"}
            assert (await other.get("/sim/faults", Authorization="Bearer wrong")).status == 401
    finally:
        await api.stop()
