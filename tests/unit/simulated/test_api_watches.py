"""Watches over HTTP: what they tell, and each way they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest

from backends.simulated.objects import EVENTS, NODES, PODS, Json
from tests.unit.simulated.api_client import TABLE, Cluster, node, pod, served


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with served() as running:
        yield running


def cordoned(obj: Json) -> None:
    obj["spec"]["unschedulable"] = True


def from_now(cluster: Cluster, path: str = "/api/v1/nodes", more: str = "") -> str:
    return f"{path}?watch=1&resourceVersion={cluster.store.version}{more}"


async def test_a_watch_tells_what_happens_after_its_version(cluster: Cluster) -> None:
    version = cluster.store.version
    cluster.store.create(NODES, node("gpu-3"))
    async with cluster.watch(f"/api/v1/nodes?watch=true&resourceVersion={version}") as stream:
        assert await stream.told() == ("ADDED", "gpu-3")
        cluster.store.update(NODES, "gpu-3", cordoned)
        changed = await stream.event()
        assert (changed["type"], changed["object"]["kind"]) == ("MODIFIED", "Node")
        assert changed["object"]["spec"] == {"unschedulable": True}
        cluster.store.create(PODS, pod("unseen"))
        cluster.store.delete(NODES, "gpu-3")
        gone = await stream.event()
        assert (gone["type"], gone["object"]["metadata"]["resourceVersion"]) == (
            "DELETED",
            str(cluster.store.version),
        )


@pytest.mark.parametrize("version", ["", "&resourceVersion=0"])
async def test_a_watch_from_no_version_begins_with_what_there_is(cluster: Cluster, version: str) -> None:
    async with cluster.watch(f"/api/v1/nodes?watch=1{version}") as stream:
        assert [await stream.told(), await stream.told()] == [("ADDED", "gpu-1"), ("ADDED", "gpu-2")]
        cluster.store.delete(NODES, "gpu-1")
        assert await stream.told() == ("DELETED", "gpu-1")


async def test_an_object_that_leaves_the_selection_is_deleted_from_it(cluster: Cluster) -> None:
    async with cluster.watch(from_now(cluster, more="&labelSelector=category%3Dh100")) as stream:
        cluster.store.update(NODES, "gpu-1", lambda obj: obj["metadata"]["labels"].update(category="b200"))
        left = await stream.event()
        assert (left["type"], left["object"]["metadata"]["labels"]) == ("DELETED", {"category": "h100"})
        assert left["object"]["metadata"]["resourceVersion"] == str(cluster.store.version)
        cluster.store.update(NODES, "gpu-2", lambda obj: obj["metadata"]["labels"].update(category="h100"))
        assert await stream.told() == ("ADDED", "gpu-2")


async def test_a_watch_of_one_namespace_and_node(cluster: Cluster) -> None:
    path = from_now(cluster, "/api/v1/namespaces/default/pods", "&fieldSelector=spec.nodeName%3Dgpu-1")
    async with cluster.watch(path) as stream:
        cluster.store.create(PODS, pod("other", "gpu-1", namespace="kube-system"))
        cluster.store.create(PODS, pod("waiting"))
        cluster.store.update(PODS, "waiting", lambda obj: obj["spec"].update(nodeName="gpu-1"), "default")
        assert await stream.told() == ("ADDED", "waiting")


async def test_the_initial_events_end_with_a_marked_bookmark(cluster: Cluster) -> None:
    path = "/api/v1/nodes?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with cluster.watch(path) as stream:
        assert [await stream.told(), await stream.told()] == [("ADDED", "gpu-1"), ("ADDED", "gpu-2")]
        mark = await stream.event()
        assert mark["type"] == "BOOKMARK"
        assert mark["object"] == {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {
                "resourceVersion": str(cluster.store.version),
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        }


async def test_bookmarks_come_every_minute_and_before_the_end(cluster: Cluster) -> None:
    async with cluster.watch(from_now(cluster, more="&allowWatchBookmarks=true&timeoutSeconds=90")) as stream:
        cluster.store.create(PODS, pod("elsewhere"))
        await cluster.clock.advance(timedelta(seconds=60))
        first = await stream.event()
        assert (first["type"], first["object"]["metadata"]["resourceVersion"]) == (
            "BOOKMARK",
            str(cluster.store.version),
        )
        await cluster.clock.advance(timedelta(seconds=30))
        assert (await stream.event())["type"] == "BOOKMARK"
        assert await stream.event() is None


async def test_without_being_asked_no_bookmarks_come(cluster: Cluster) -> None:
    async with cluster.watch(from_now(cluster, more="&timeoutSeconds=90")) as stream:
        await cluster.clock.advance(timedelta(seconds=90))
        assert await stream.event() is None


async def test_a_version_too_old_is_an_error_event_with_status_200(cluster: Cluster) -> None:
    version = cluster.store.version
    cluster.api.forget_history()
    async with cluster.watch(f"/api/v1/nodes?watch=1&resourceVersion={version}") as stream:
        event = await stream.event()
        assert event["type"] == "ERROR"
        assert (event["object"]["kind"], event["object"]["reason"], event["object"]["code"]) == (
            "Status",
            "Expired",
            410,
        )
        assert await stream.event() is None


async def test_more_changes_than_the_history_holds_are_too_old() -> None:
    async with served(history=3) as cluster:
        path = from_now(cluster)
        for number in range(5):
            cluster.store.create(NODES, node(f"new-{number}"))
        async with cluster.watch(path) as stream:
            assert (await stream.event())["type"] == "ERROR"


async def test_a_version_of_the_future_is_silent_until_it_comes(cluster: Cluster) -> None:
    path = f"/api/v1/nodes?watch=1&allowWatchBookmarks=true&resourceVersion={cluster.store.version + 1}"
    async with cluster.watch(path) as stream:
        await cluster.clock.advance(timedelta(seconds=61))
        cluster.store.create(NODES, node("before"))
        cluster.store.create(NODES, node("after"))
        assert await stream.told() == ("ADDED", "after")


async def test_a_watch_as_a_table_names_its_columns_once(cluster: Cluster) -> None:
    async with cluster.watch("/api/v1/nodes?watch=1", TABLE) as stream:
        first, second = await stream.event(), await stream.event()
        assert first["object"]["columnDefinitions"][0]["name"] == "Name"
        assert first["object"]["rows"][0]["cells"][0] == "gpu-1"
        assert second["object"]["columnDefinitions"] is None
        cluster.store.update(NODES, "gpu-2", cordoned)
        changed = await stream.event()
        assert changed["object"]["rows"][0]["cells"][1] == "Ready,SchedulingDisabled"


async def test_newer_events_are_watched_in_their_shape(cluster: Cluster) -> None:
    async with cluster.watch(from_now(cluster, "/apis/events.k8s.io/v1/events")) as stream:
        cluster.store.create(EVENTS, {"metadata": {"name": "e", "namespace": "default"}, "message": "said"})
        assert (await stream.event())["object"]["note"] == "said"


async def test_watches_are_not_gzipped(cluster: Cluster) -> None:
    async with cluster.watch("/api/v1/nodes?watch=1") as stream:
        assert "Content-Encoding" not in stream.response.headers


async def test_a_clean_cut_ends_the_stream_after_what_was_told(cluster: Cluster) -> None:
    async with cluster.watch(from_now(cluster)) as stream:
        cluster.store.create(NODES, node("last"))
        cluster.api.cut_watches()
        assert await stream.told() == ("ADDED", "last")
        assert await stream.event() is None
    await cluster.api.until_watched(0)


async def test_an_abrupt_cut_breaks_the_stream(cluster: Cluster) -> None:
    async with cluster.watch(from_now(cluster)) as stream:
        cluster.api.cut_watches(abrupt=True)
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.event()
    await cluster.api.until_watched(0)


async def test_silence_holds_back_events_and_bookmarks_but_not_lists(cluster: Cluster) -> None:
    async with cluster.watch(from_now(cluster, more="&allowWatchBookmarks=true")) as stream:
        cluster.api.go_silent()
        cluster.store.create(NODES, node("held"))
        await cluster.clock.advance(timedelta(minutes=2))
        assert "held" in (await cluster.get("/api/v1/nodes")).names
        assert stream.response.content.total_bytes == 0
        cluster.api.speak_again()
        assert await stream.told() == ("ADDED", "held")


async def test_a_watcher_that_leaves_is_forgotten(cluster: Cluster) -> None:
    async with cluster.watch(from_now(cluster)):
        await cluster.api.until_watched(1)
    await cluster.api.until_watched(0)
    assert cluster.api.open_watches == 0


async def test_a_server_that_goes_down_breaks_watches_and_comes_back_on_its_port(cluster: Cluster) -> None:
    async with cluster.watch(from_now(cluster)) as stream:
        await cluster.api.go_down()
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.event()
    with pytest.raises(aiohttp.ClientConnectorError):
        await cluster.get("/version")
    await cluster.api.come_back()
    assert (await cluster.get("/version")).status == 200


async def test_a_server_told_to_end_lets_watches_live_for_a_minute(cluster: Cluster) -> None:
    async with cluster.watch(from_now(cluster)) as stream:
        await cluster.api.go_down(abrupt=False)
        cluster.store.create(NODES, node("late"))
        assert await stream.told() == ("ADDED", "late")
        await cluster.clock.advance(timedelta(minutes=1))
        assert await stream.event() is None
