"""Objects that no server would store, over the API: the status is the one that a real API server gives (measured on 1.36)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from backends.simulated.patches import MERGE, STRATEGIC
from tests.unit.simulated.api_client import Cluster, node, served

NODES = ("/api/v1/nodes", "v1", "Node")
PODS = ("/api/v1/namespaces/default/pods", "v1", "Pod")
DEPLOYMENTS = ("/apis/apps/v1/namespaces/default/deployments", "apps/v1", "Deployment")
JOBS = ("/apis/batch/v1/namespaces/default/jobs", "batch/v1", "Job")
TEMPLATE = {"spec": {"containers": [{"name": "main"}]}}


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with served() as running:
        yield running


@pytest.mark.parametrize(
    ("of", "spec", "code", "says"),
    [
        (NODES, {"taints": [{"key": 1}]}, 400, "cannot be handled as a Node: spec.taints[0].key"),
        (NODES, [], 400, "cannot be handled as a Node: spec"),
        (PODS, {"containers": "main"}, 400, "cannot be handled as a Pod: spec.containers"),
        (PODS, {"containers": []}, 422, 'Pod "x" is invalid: spec.containers'),
        (PODS, {}, 422, 'Pod "x" is invalid: spec'),
        (DEPLOYMENTS, {"replicas": 1}, 422, 'Deployment.apps "x" is invalid: spec'),
        (JOBS, {"template": TEMPLATE, "parallelism": -1}, 422, 'Job.batch "x" is invalid: spec.parallelism'),
    ],
)
async def test_a_wrong_type_is_a_bad_request_and_a_wrong_value_is_invalid(
    cluster: Cluster, of: tuple[str, str, str], spec: Any, code: int, says: str
) -> None:
    path, version, kind = of
    sent = {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    answer = await cluster.ask("POST", path, sent)
    assert (answer.status, answer.json["reason"]) == (code, {400: "BadRequest", 422: "Invalid"}[code])
    assert says in answer.json["message"]


@pytest.mark.parametrize("media", [MERGE, STRATEGIC])
@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"taints": [{"key": 1}]}},
        {"spec": {"taints": "x"}},
        {"spec": "text"},
        {"metadata": []},
        {"metadata": {"labels": {"a": 1}}},
    ],
)
async def test_a_wrong_type_that_a_patch_brings_about_is_invalid(
    cluster: Cluster, media: str, patch: Any
) -> None:
    await cluster.ask("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", **node("x")})
    answer = await cluster.patch("/api/v1/nodes/x", patch, media)
    assert (answer.status, answer.json["details"]["causes"][0]["field"]) == (422, "patch")
