"""The object store: versions, order, history, and that nothing given out is ever changed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from backends.simulated.objects import (
    LEASES,
    NODES,
    PDBS,
    PODS,
    AlreadyExists,
    Conflict,
    Event,
    Json,
    NotFound,
    ObjectStore,
)
from tests.clocks import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> ObjectStore:
    uids = itertools.count(1)
    return ObjectStore(clock, lambda: f"uid-{next(uids)}", history=5)


def pod(name: str, namespace: str = "default", node: str = "") -> Json:
    spec = {"nodeName": node} if node else {}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def label(value: str) -> Callable[[Json], None]:
    def change(obj: Json) -> None:
        obj["metadata"].setdefault("labels", {})["x"] = value

    return change


def test_a_new_object_gets_uid_time_and_version(store: ObjectStore) -> None:
    node = store.create(NODES, {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "gpu-1"}})
    assert node == {
        "metadata": {
            "name": "gpu-1",
            "uid": "uid-1",
            "creationTimestamp": "2026-03-01T03:00:00Z",
            "resourceVersion": str(store.version),
        }
    }


def test_a_second_object_of_the_same_name_is_refused(store: ObjectStore) -> None:
    store.create(PODS, pod("a"))
    store.create(PODS, pod("a", "other"))
    with pytest.raises(AlreadyExists):
        store.create(PODS, pod("a"))


def test_what_was_given_out_never_changes(store: ObjectStore) -> None:
    first = store.create(
        NODES, {"metadata": {"name": "n", "labels": {"x": "1"}}, "spec": {"taints": [{"key": "t"}]}}
    )
    frozen = json.dumps(first)

    def change(obj: Json) -> None:
        obj["metadata"]["labels"]["x"] = "2"
        obj["spec"]["taints"][0]["key"] = "changed"

    second = store.update(NODES, "n", change)
    assert json.dumps(first) == frozen
    assert second["spec"]["taints"] == [{"key": "changed"}]
    assert int(second["metadata"]["resourceVersion"]) == int(first["metadata"]["resourceVersion"]) + 1


def test_the_cached_bytes_are_those_of_their_version(store: ObjectStore) -> None:
    store.create(NODES, {"metadata": {"name": "n"}})
    before = store.stored(NODES, "n")
    assert before is not None
    assert json.loads(before.encoded) == before.object
    assert before.encoded is before.encoded
    store.update(NODES, "n", label("new"))
    after = store.stored(NODES, "n")
    assert after is not None
    assert json.loads(after.encoded)["metadata"]["labels"] == {"x": "new"}
    assert b"labels" not in before.encoded


def test_a_change_that_changes_nothing_writes_nothing(store: ObjectStore) -> None:
    store.create(NODES, {"metadata": {"name": "n", "labels": {"x": "1"}}})
    version = store.version
    seen: list[Event] = []
    store.subscribe(seen.append)
    store.update(NODES, "n", label("1"))
    assert store.version == version
    assert seen == []


def test_a_stale_version_is_a_conflict(store: ObjectStore) -> None:
    stale = store.create(NODES, {"metadata": {"name": "n"}})
    store.update(NODES, "n", label("1"))
    with pytest.raises(Conflict):
        store.replace(NODES, stale)
    with pytest.raises(Conflict):
        store.update(NODES, "n", label("2"), version=stale["metadata"]["resourceVersion"])
    with pytest.raises(Conflict):
        store.delete(NODES, "n", uid="another")


def test_a_replacement_keeps_what_only_the_store_may_set(store: ObjectStore) -> None:
    old = store.create(PDBS, {"metadata": {"name": "b", "namespace": "d"}, "spec": {"minAvailable": 1}})
    new = store.replace(PDBS, {"metadata": {"name": "b", "namespace": "d"}, "spec": {"minAvailable": 2}})
    assert new["metadata"]["uid"] == old["metadata"]["uid"]
    assert new["metadata"]["creationTimestamp"] == old["metadata"]["creationTimestamp"]
    assert (old["metadata"]["generation"], new["metadata"]["generation"]) == (1, 2)


def test_generation_counts_the_spec_and_not_the_status(store: ObjectStore) -> None:
    store.create(PDBS, {"metadata": {"name": "b", "namespace": "d"}, "spec": {"minAvailable": 1}})
    after = store.update(PDBS, "b", lambda obj: obj.update(status={"disruptionsAllowed": 1}), "d")
    assert after["metadata"]["generation"] == 1


def test_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    assert store.get(NODES, "n") is None
    with pytest.raises(NotFound):
        store.update(NODES, "n", label("1"))
    with pytest.raises(NotFound):
        store.delete(NODES, "n")
    with pytest.raises(NotFound):
        store.replace(NODES, {"metadata": {"name": "n"}})


def test_lists_are_in_the_order_of_the_real_keys(store: ObjectStore) -> None:
    def listed(namespace: str | None = None) -> list[str]:
        return [f"{p['metadata']['namespace']}/{p['metadata']['name']}" for p in store.list(PODS, namespace)]

    for namespace, name in [("b", "2"), ("a-x", "1"), ("a", "1"), ("b", "1")]:
        store.create(PODS, pod(name, namespace))
    assert listed() == ["a-x/1", "a/1", "b/1", "b/2"]
    store.create(PODS, pod("0", "b"))
    store.delete(PODS, "1", "a")
    assert listed() == ["a-x/1", "b/0", "b/1", "b/2"]
    assert listed("b") == ["b/0", "b/1", "b/2"]
    assert listed("a") == []


def test_pods_are_found_by_their_node(store: ObjectStore) -> None:
    def on(node: str) -> list[str]:
        return [p["metadata"]["name"] for p in store.pods_on(node)]

    store.create(PODS, pod("b", node="n1"))
    store.create(PODS, pod("a", node="n1"))
    store.create(PODS, pod("c"))
    assert (on("n1"), on("n2")) == (["a", "b"], [])
    store.update(PODS, "c", lambda obj: obj["spec"].update(nodeName="n2"), "default")
    store.delete(PODS, "a", "default")
    assert (on("n1"), on("n2")) == (["b"], ["c"])


def test_subscribers_see_each_write_in_order_even_when_one_of_them_writes(store: ObjectStore) -> None:
    def answer(event: Event) -> None:
        if event.type == "ADDED" and event.resource is NODES:
            store.create(LEASES, {"metadata": {"name": event.object["metadata"]["name"], "namespace": "l"}})

    seen: list[tuple[str, str]] = []
    store.subscribe(answer)
    stop = store.subscribe(lambda event: seen.append((event.type, event.resource.plural)))
    store.create(NODES, {"metadata": {"name": "n"}})
    store.update(NODES, "n", label("1"))
    store.delete(NODES, "n")
    stop()
    store.create(NODES, {"metadata": {"name": "unseen"}})
    assert seen == [("ADDED", "nodes"), ("ADDED", "leases"), ("MODIFIED", "nodes"), ("DELETED", "nodes")]


def test_a_deleted_object_carries_the_version_of_its_deletion(store: ObjectStore) -> None:
    store.create(NODES, {"metadata": {"name": "n"}})
    last = store.delete(NODES, "n")
    assert last["metadata"]["resourceVersion"] == str(store.version)


def test_history_gives_what_came_after_a_version_until_it_forgets(store: ObjectStore) -> None:
    start = store.version
    store.create(NODES, {"metadata": {"name": "n"}})
    created = store.version
    for turn in range(4):
        store.update(NODES, "n", label(str(turn)))
    events = store.since(NODES, start)
    assert events is not None
    assert [event.type for event in events] == ["ADDED"] + ["MODIFIED"] * 4
    store.update(NODES, "n", label("last"))
    assert store.since(NODES, start) is None
    assert store.since(NODES, created) is not None
    assert store.since(PODS, start) == []


def test_forgetting_history_outdates_every_version_given_out(store: ObjectStore) -> None:
    given = store.version
    store.forget_history()
    assert store.since(NODES, given) is None
    assert store.since(NODES, store.version) == []


async def test_creation_time_follows_the_clock(store: ObjectStore, clock: ManualClock) -> None:
    await clock.advance(timedelta(minutes=5))
    assert (
        store.create(NODES, {"metadata": {"name": "n"}})["metadata"]["creationTimestamp"]
        == "2026-03-01T03:05:00Z"
    )
