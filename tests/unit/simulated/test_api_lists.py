"""Lists over HTTP: pages, versions, selectors, forms, compression."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from backends.simulated.objects import EVENTS, NODES, PODS, timestamp
from tests.clocks import START
from tests.unit.simulated.api_client import TABLE, Cluster, node, pod, served

METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with served() as running:
        yield running


async def test_a_list_has_kind_version_and_items_without_kinds(cluster: Cluster) -> None:
    answer = await cluster.get("/api/v1/nodes")
    assert (answer.json["kind"], answer.json["apiVersion"]) == ("NodeList", "v1")
    assert answer.json["metadata"] == {"resourceVersion": str(cluster.store.version)}
    assert answer.names == ["gpu-1", "gpu-2"]
    assert "kind" not in answer.json["items"][0]


async def test_one_object_has_its_kind(cluster: Cluster) -> None:
    answer = await cluster.get("/api/v1/nodes/gpu-1")
    assert (answer.json["kind"], answer.json["apiVersion"]) == ("Node", "v1")
    assert answer.json["metadata"]["labels"] == {"category": "h100"}


async def test_pages_show_one_moment_and_count_what_is_left(cluster: Cluster) -> None:
    for number in range(3, 8):
        cluster.store.create(NODES, node(f"gpu-{number}"))
    first = await cluster.get("/api/v1/nodes?limit=3")
    assert first.names == ["gpu-1", "gpu-2", "gpu-3"]
    assert first.json["metadata"]["remainingItemCount"] == 4
    cluster.store.delete(NODES, "gpu-5")
    second = await cluster.get(f"/api/v1/nodes?limit=3&continue={first.json['metadata']['continue']}")
    assert second.names == ["gpu-4", "gpu-5", "gpu-6"]
    assert second.json["metadata"]["resourceVersion"] == first.json["metadata"]["resourceVersion"]
    last = await cluster.get(f"/api/v1/nodes?limit=3&continue={second.json['metadata']['continue']}")
    assert last.names == ["gpu-7"]
    assert "continue" not in last.json["metadata"]


async def test_a_selected_list_does_not_know_what_is_left(cluster: Cluster) -> None:
    answer = await cluster.get("/api/v1/nodes?limit=1&labelSelector=category")
    assert "continue" in answer.json["metadata"]
    assert "remainingItemCount" not in answer.json["metadata"]


async def test_an_expired_token_is_410_with_a_token_for_the_rest(cluster: Cluster) -> None:
    first = await cluster.get("/api/v1/nodes?limit=1")
    await cluster.clock.advance(timedelta(minutes=6))
    expired = await cluster.get(f"/api/v1/nodes?limit=1&continue={first.json['metadata']['continue']}")
    assert (expired.status, expired.json["reason"], expired.json["code"]) == (410, "Expired", 410)
    rest = await cluster.get(f"/api/v1/nodes?continue={expired.json['metadata']['continue']}")
    assert (rest.status, rest.names) == (200, ["gpu-2"])


async def test_compaction_expires_tokens(cluster: Cluster) -> None:
    first = await cluster.get("/api/v1/nodes?limit=1")
    cluster.api.forget_history()
    assert (await cluster.get(f"/api/v1/nodes?continue={first.json['metadata']['continue']}")).status == 410


async def test_a_list_at_version_zero_ignores_the_limit(cluster: Cluster) -> None:
    assert (await cluster.get("/api/v1/nodes?limit=1&resourceVersion=0")).names == ["gpu-1", "gpu-2"]


async def test_a_version_of_the_future_is_504_after_three_seconds(cluster: Cluster) -> None:
    before = cluster.clock.monotonic()
    async with cluster.advancing():
        answer = await cluster.get("/api/v1/nodes?resourceVersion=99999")
    assert (answer.status, answer.json["reason"]) == (504, "Timeout")
    assert answer.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert cluster.clock.monotonic() - before >= 3


async def test_an_exact_version_is_served_while_nothing_changed_since(cluster: Cluster) -> None:
    version = cluster.store.version
    path = f"/api/v1/nodes?resourceVersionMatch=Exact&resourceVersion={version}"
    cluster.store.create(PODS, pod("another"))
    assert (await cluster.get(path)).names == ["gpu-1", "gpu-2"]
    cluster.store.create(NODES, node("gpu-3"))
    assert (await cluster.get(path)).status == 410


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("resourceVersionMatch=NotOlderThan", 422),
        ("resourceVersionMatch=Sometimes&resourceVersion=1", 422),
        ("resourceVersionMatch=Exact&resourceVersion=0", 422),
        ("sendInitialEvents=true", 422),
        ("watch=true&sendInitialEvents=true", 422),
        ("watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1", 422),
        ("resourceVersion=latest", 400),
        ("limit=many", 400),
        ("continue=nonsense", 400),
        ("fieldSelector=spec.colour=red", 400),
        ("labelSelector=a%3Db%3Dc", 400),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(cluster: Cluster, query: str, status: int) -> None:
    answer = await cluster.get(f"/api/v1/nodes?{query}")
    assert (answer.status, answer.json["code"]) == (status, status)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/api/v1/pods?fieldSelector=spec.nodeName%3Dgpu-1", ["work-gpu-1"]),
        ("/api/v1/pods?fieldSelector=spec.nodeName%3Dgpu-1,status.phase!%3DRunning", []),
        ("/api/v1/pods?fieldSelector=status.phase!%3DSucceeded", ["work-gpu-1", "work-gpu-2", "other"]),
        ("/api/v1/namespaces/team/pods", ["other"]),
        ("/api/v1/namespaces/team/pods?fieldSelector=metadata.name%3Dother", ["other"]),
        ("/api/v1/namespaces/team/pods?fieldSelector=spec.nodeName%3Dgpu-1", []),
        ("/api/v1/pods?labelSelector=app%20in%20(web,db)", ["work-gpu-1", "work-gpu-2"]),
        ("/api/v1/pods?labelSelector=!app", ["other"]),
    ],
)
async def test_selectors(cluster: Cluster, path: str, names: list[str]) -> None:
    cluster.store.create(PODS, pod("other", namespace="team"))
    assert (await cluster.get(path)).names == names


async def test_a_table_has_columns_rows_and_metadata(cluster: Cluster) -> None:
    await cluster.clock.advance(timedelta(minutes=5))
    table = (await cluster.get("/api/v1/nodes", Accept=TABLE)).json
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [each["name"] for each in table["columnDefinitions"] if each["priority"] == 0] == [
        *("Name", "Status", "Roles", "Age", "Version")
    ]
    assert table["rows"][0]["cells"][:4] == ["gpu-1", "Ready", "<none>", "5m"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert "status" not in table["rows"][0]["object"]


@pytest.mark.parametrize(("include", "shown"), [("None", None), ("Object", "Node")])
async def test_a_table_includes_what_is_asked(cluster: Cluster, include: str, shown: str | None) -> None:
    table = (await cluster.get(f"/api/v1/nodes?includeObject={include}", Accept=TABLE)).json
    row = table["rows"][0]["object"]
    assert (row and row["kind"]) == shown


async def test_one_object_as_a_table(cluster: Cluster) -> None:
    table = (await cluster.get("/api/v1/nodes/gpu-2", Accept=TABLE)).json
    assert [row["cells"][0] for row in table["rows"]] == ["gpu-2"]


async def test_metadata_alone(cluster: Cluster) -> None:
    answer = (await cluster.get("/api/v1/nodes", Accept=METADATA)).json
    assert answer["kind"] == "PartialObjectMetadataList"
    assert set(answer["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_protobuf_alone_is_not_acceptable(cluster: Cluster) -> None:
    assert (await cluster.get("/api/v1/nodes", Accept="application/vnd.kubernetes.protobuf")).status == 406
    both = await cluster.get("/api/v1/nodes", Accept="application/vnd.kubernetes.protobuf, */*")
    assert both.headers["Content-Type"] == "application/json"


async def test_answers_from_128_kib_on_are_gzipped_where_accepted(cluster: Cluster) -> None:
    small = await cluster.get("/api/v1/nodes", Accept_Encoding="gzip")
    assert "Content-Encoding" not in small.headers
    big = node("big")
    big["metadata"]["annotations"] = {"text": "x" * 200_000}
    cluster.store.create(NODES, big)
    zipped = await cluster.get("/api/v1/nodes", Accept_Encoding="gzip, deflate")
    assert zipped.headers["Content-Encoding"] == "gzip"
    plain = await cluster.get("/api/v1/nodes", Accept_Encoding="identity")
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(zipped.body) == plain.body


async def test_a_list_of_thousands_arrives_whole(cluster: Cluster) -> None:
    for number in range(1000):
        cluster.store.create(NODES, node(f"many-{number:04}"))
    assert len((await cluster.get("/api/v1/nodes")).names) == 1002
    assert len((await cluster.get("/api/v1/nodes?limit=500")).names) == 500


async def test_events_are_served_in_both_shapes(cluster: Cluster) -> None:
    event: Any = {
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": "gpu-1", "uid": "gpu-1"},
        "message": "It is hot",
        "reason": "Hot",
        "type": "Warning",
        "lastTimestamp": timestamp(START),
    }
    cluster.store.create(EVENTS, event)
    older = await cluster.get("/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dgpu-1")
    assert older.json["items"][0]["message"] == "It is hot"
    newer = await cluster.get("/apis/events.k8s.io/v1/events?fieldSelector=regarding.name%3Dgpu-1")
    assert newer.json["items"][0]["note"] == "It is hot"
    assert newer.json["items"][0]["regarding"]["name"] == "gpu-1"
