"""GPUs given out by claims, from objects as an API serves them to what a row and a plan say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from backends.kubernetes.claims import Claims, Slices
from backends.kubernetes.claims_feed import LOOK_AGAIN, TRY_AGAIN
from backends.kubernetes.connection import Api
from backends.kubernetes.feeds import feeds_of
from backends.kubernetes.kubeconfig import Access, User
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.reader import KubernetesReader
from backends.kubernetes.remarks import examine
from backends.simulated.objects import NODES, PODS, Json, ObjectStore
from backends.simulated.resources import RESOURCECLAIMS, RESOURCESLICES
from fleet.node import NodeKey
from fleet.observation import Observation
from fleet.plan import NodeFacts
from fleet.row import FleetRow
from fleet.store import FleetStore
from tests.unit.kubernetes.objects import node_json, pod_json
from tests.unit.simulated.api_client import Cluster, served

DRIVER = "gpu.nvidia.com"
AT = NodeKey("sim", "dra-1")
CLAIMING = {"resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]}
LABELS = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.deploy.dra-driver": "true"}


def device(name: str, kind: str = "gpu", **more: Any) -> Json:
    return {"name": name, "attributes": {"type": {"string": kind}, "index": {"int": 0}}, **more}


def slice_of(devices: Sequence[Json], name: str = "dra-1-gpus", **pool: Any) -> Json:
    told = {"name": "dra-1", "generation": 1, "resourceSliceCount": 1, **pool}
    spec = {"driver": DRIVER, "nodeName": "dra-1", "pool": told, "devices": list(devices)}
    return {"metadata": {"name": name}, "spec": spec}


def claim(name: str, devices: Sequence[str], *pods: str, **result: Any) -> Json:
    results = [
        {"request": "gpu", "driver": DRIVER, "pool": "dra-1", "device": each, **result} for each in devices
    ]
    users = [{"resource": "pods", "name": uid, "uid": uid} for uid in pods]
    status = {"allocation": {"devices": {"results": results}}, "reservedFor": users}
    return {"metadata": {"name": name, "namespace": "research"}, "spec": {}, "status": status}


GPUS = [device(f"gpu-{number}") for number in range(8)]


@dataclass(slots=True)
class Given:
    """A cluster of one node whose GPUs claims give out, followed by the real feeds into a real store."""

    cluster: Cluster
    api: Api
    fleet: FleetStore

    def report(self, observations: Sequence[Observation]) -> None:
        self.fleet.apply_all(observations)

    @property
    def store(self) -> ObjectStore:
        return self.cluster.store

    @property
    def row(self) -> FleetRow | None:
        return self.fleet.record(AT)

    def told(self) -> tuple[int | None, int | None, int | None]:
        """GPUs there, on offer and used, as the row has them."""
        row = self.row
        assert row is not None
        return (
            row.node.gpus_capacity,
            row.node.gpus_allocatable,
            row.own_work.gpus_used if row.own_work else None,
        )

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(3000):
            if condition():
                return
            await asyncio.sleep(0.002)
            await self.cluster.clock.advance(timedelta(seconds=0.25))
        raise AssertionError(f"never so: {what}; {self.row}")

    async def shows(self, *told: int | None) -> None:
        """Wait until the row says so many GPUs there, on offer and used."""
        await self.until(lambda: self.row is not None and self.told() == told, str(told))

    async def facts(self) -> NodeFacts:
        return (await KubernetesReader(self.api, NodeKeys()).read([AT]))[AT]

    def bind(self, *names: str) -> list[str]:
        """Running pods that have devices by claims alone; their uids."""
        made = [
            self.store.create(PODS, pod_json(name, node="dra-1", gpus=None, spec=CLAIMING)) for name in names
        ]
        return [pod["metadata"]["uid"] for pod in made]

    def asked(self) -> list[str]:
        """The paths of the group that were asked for."""
        return [path for _, path in self.cluster.api.requests if "resource.k8s.io" in path]


@asynccontextmanager
async def given(*, serves: str = "v1") -> AsyncIterator[Given]:
    async with served() as cluster:
        cluster.api.serves_claims = serves
        cluster.store.create(NODES, node_json("dra-1", gpus=None, labels=LABELS))
        access = Access("sim", cluster.api.url, user=User(token="anybody"))
        api = Api(access, source="sim", clock=cluster.clock, environ={})
        here = Given(cluster, api, FleetStore())
        feeds = feeds_of(api, NodeKeys(), clock=cluster.clock, chance=Random(1))  # noqa: S311
        tasks = [asyncio.create_task(feed.follow(here.report)) for feed in feeds]
        try:
            yield here
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await api.close()
            assert not [error for error in ended if not isinstance(error, asyncio.CancelledError)]


async def test_gpus_that_slices_offer_and_claims_hold_are_counted_and_followed() -> None:
    async with given() as here:
        one, other = here.bind("a", "b")
        here.store.create(RESOURCESLICES, slice_of(GPUS))
        here.store.create(RESOURCECLAIMS, claim("c", ["gpu-0", "gpu-1"], one, other))
        await here.shows(8, 8, 2)
        assert here.row is not None
        assert here.row.own_work is not None
        assert here.row.own_work.gpus_of == (2,)
        here.store.create(RESOURCECLAIMS, claim("d", ["gpu-2"], other))
        await here.shows(8, 8, 3)
        here.store.delete(RESOURCECLAIMS, "c", "research")
        await here.shows(8, 8, 1)
        here.store.update(RESOURCESLICES, "dra-1-gpus", lambda it: it["spec"]["devices"].pop())
        await here.shows(7, 7, 1)
        facts = await here.facts()
        assert (facts.node.gpus_allocatable, [each.gpus for each in facts.placements]) == (7, [0, 1])


async def test_a_cluster_that_does_not_serve_claims_is_asked_once_and_leaves_them_unknown() -> None:
    async with given(serves="") as here:
        here.bind("a")
        await here.shows(None, None, None)
        await here.until(lambda: bool(here.asked()), "the group was looked for")
        assert here.cluster.api.open_watches == 2
        facts = await here.facts()
        assert facts.node.gpus_allocatable is None
        assert here.asked() == ["/apis/resource.k8s.io", "/apis/resource.k8s.io"], "the feed, and the reader"
        here.cluster.api.serves_claims = "v1"
        here.store.create(RESOURCESLICES, slice_of(GPUS))
        await here.cluster.clock.advance(LOOK_AGAIN)
        await here.shows(8, 8, 0)


async def test_a_version_that_goes_away_is_found_again_by_the_feed_and_by_the_reader() -> None:
    async with given(serves="v1beta1") as here:
        (uid,) = here.bind("a")
        here.store.create(RESOURCESLICES, slice_of(GPUS))
        await here.shows(8, 8, 0)
        reader = KubernetesReader(here.api, NodeKeys())
        assert (await reader.read([AT]))[AT].node.gpus_allocatable == 8
        here.cluster.api.serves_claims = "v1"
        here.cluster.api.cut_watches()
        await here.shows(None, None, None)
        here.store.create(RESOURCECLAIMS, claim("c", ["gpu-0"], uid))
        seen: list[object] = []
        await here.until(lambda: seen.append(here.told()) or here.told() == (8, 8, 1), "the new version")  # type: ignore[func-returns-value]
        assert set(seen) == {(None, None, None), (8, 8, 1)}, "what was known before is not shown again"
        facts = (await reader.read([AT]))[AT]
        assert (facts.node.gpus_allocatable, facts.placements[0].gpus) == (8, 1)


async def test_a_group_that_is_gone_is_looked_for_now_and_then_until_it_is_there_again() -> None:
    async with given() as here:
        here.bind("a")
        here.store.create(RESOURCESLICES, slice_of(GPUS))
        await here.shows(8, 8, 0)
        reader = KubernetesReader(here.api, NodeKeys())
        await reader.read([AT])
        here.cluster.api.serves_claims = ""
        here.cluster.api.cut_watches()
        await here.shows(None, None, None)
        await here.until(lambda: here.cluster.api.open_watches == 2, "it is given up")
        await here.cluster.clock.advance(TRY_AGAIN)
        before = len(here.asked())
        for _ in range(50):
            assert (await reader.read([AT]))[AT].node.gpus_allocatable is None
            await here.cluster.clock.advance(LOOK_AGAIN / 50)
        assert len(here.asked()) - before <= 5
        here.cluster.api.serves_claims = "v1"
        await here.cluster.clock.advance(LOOK_AGAIN)
        await here.shows(8, 8, 0)
        assert (await reader.read([AT]))[AT].node.gpus_allocatable == 8


HOSTILE: list[Json] = [
    {"devices": [{"name": None}]},
    {"devices": [None]},
    {"pool": {"name": 5, "generation": "x"}},
    {"devices": [{"name": "\x1b[2J[red]" + "g" * 40_000, "attributes": []}]},
]


@pytest.mark.parametrize("spec", HOSTILE)
async def test_a_slice_that_nobody_can_read_keeps_nobody_from_planning_and_is_no_zero(spec: Json) -> None:
    async with given() as here:
        here.bind("a")
        here.store.create(RESOURCESLICES, slice_of(GPUS))
        await here.shows(8, 8, 0)
        bad = {"driver": DRIVER, "nodeName": "dra-1", **spec}
        here.store.create(RESOURCESLICES, {"metadata": {"name": "bad"}, "spec": bad})
        await here.shows(None, None, None)
        facts = await here.facts()
        assert (facts.node.gpus_allocatable, len(facts.placements)) == (None, 1)
        here.store.update(
            RESOURCESLICES, "bad", lambda it: it.update(spec={"driver": DRIVER, "devices": None})
        )
        await here.shows(8, 8, 0)


async def test_what_claims_tell_of_a_fleet_is_worked_out_beside_the_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """10,000 nodes take two seconds."""
    threads: list[int] = []

    def seen(method: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            threads.append(threading.get_ident())
            return method(*arguments)

        return noted

    async with given(serves="") as here:
        (uid,) = here.bind("a")
        here.store.create(RESOURCESLICES, slice_of(GPUS))
        here.store.create(RESOURCECLAIMS, claim("c", ["gpu-0"], uid))
        await here.until(lambda: bool(here.asked()), "the feed has looked for the group")
        await here.shows(None, None, None)
        here.cluster.api.serves_claims = "v1"
        for kept in (Slices, Claims):
            monkeypatch.setattr(kept, "put", seen(kept.put))
        monkeypatch.setattr(Claims, "held", seen(Claims.held))
        assert (await here.facts()).placements[0].gpus == 1
        assert len(threads) == 3
        assert threading.get_ident() not in threads


async def test_a_plan_says_where_it_does_not_know_what_pods_hold_by_claims() -> None:
    async with given() as here:
        here.store.create(RESOURCESLICES, slice_of(GPUS))
        assert (await here.facts()).untold == ""
        (uid,) = here.bind("a")
        here.store.create(RESOURCECLAIMS, claim("c", ["gpu-0"], uid))
        assert (await here.facts()).untold == ""
        here.cluster.api.permissions.deny("list", "resourceclaims")
        facts = await here.facts()
        assert facts.untold.startswith("how many GPUs 1 pod holds by claims is not known: ")
        assert "resourceclaims" in facts.untold


async def test_a_look_at_a_node_alone_asks_for_no_claims() -> None:
    async with given() as here:
        here.store.create(RESOURCESLICES, slice_of(GPUS))
        await here.shows(8, 8, 0)
        await KubernetesReader(here.api, NodeKeys()).read([AT], work=False)
        assert not [path for path in here.asked() if "nodeName" in path]


async def test_claims_that_may_not_be_read_are_unknown_until_they_may_and_again_when_not() -> None:
    async with given() as here:
        here.cluster.api.permissions.deny("*", "resourceclaims")
        here.bind("a")
        here.store.create(RESOURCESLICES, slice_of(GPUS))
        await here.until(
            lambda: any("resourceclaims" in path for path in here.asked()), "claims are asked for"
        )
        await here.shows(None, None, None)
        assert {state.name for state in here.fleet.feed_states()} == {"nodes", "pods"}
        here.cluster.api.permissions.allow("*", "resourceclaims")
        await here.shows(8, 8, 0)
        here.cluster.api.permissions.deny("*", "resourceclaims")
        here.cluster.api.cut_watches()
        await here.shows(None, None, None)


async def test_a_server_that_goes_away_and_comes_back_is_counted_anew() -> None:
    async with given() as here:
        (uid,) = here.bind("a")
        here.store.create(RESOURCESLICES, slice_of(GPUS))
        here.store.create(RESOURCECLAIMS, claim("c", ["gpu-0"], uid))
        await here.shows(8, 8, 1)
        await here.cluster.api.go_down()
        await here.shows(None, None, None)
        here.store.delete(RESOURCECLAIMS, "c", "research")
        await here.cluster.api.come_back()
        await here.shows(8, 8, 0)


async def test_what_a_device_plugin_counts_is_not_counted_again_by_claims() -> None:
    """From 1.36 on a pod may ask for `nvidia.com/gpu` and get it by a claim that Kubernetes makes."""
    async with given() as here:
        here.store.create(RESOURCESLICES, slice_of(GPUS))
        await here.shows(8, 8, 0)
        made = here.store.create(PODS, pod_json("plain", node="dra-1", gpus=2))
        here.store.create(RESOURCECLAIMS, claim("made", ["gpu-3", "gpu-4"], made["metadata"]["uid"]))
        await here.shows(8, 8, 2)
        counts = {"nvidia.com/gpu": "4"}
        here.store.update(NODES, "dra-1", lambda it: it["status"].update(capacity=counts, allocatable=counts))
        await here.shows(4, 4, 2)


async def test_what_is_used_is_told_anew_when_a_device_plugin_begins_to_count_or_ends() -> None:
    """Where no label says that claims give out the GPUs, a node without a device plugin looks like one without GPUs."""
    async with given() as here:
        here.store.update(NODES, "dra-1", lambda it: it["metadata"].update(labels={}))
        (uid,) = here.bind("a")
        here.store.create(RESOURCESLICES, slice_of(GPUS))
        here.store.create(RESOURCECLAIMS, claim("c", ["gpu-0", "gpu-1"], uid))
        await here.shows(8, 8, 2)
        counts = {"nvidia.com/gpu": "4"}
        here.store.update(NODES, "dra-1", lambda it: it["status"].update(capacity=counts, allocatable=counts))
        await here.shows(4, 4, 0)
        here.store.update(NODES, "dra-1", lambda it: it["status"].update(capacity={}, allocatable={}))
        await here.shows(8, 8, 2)


async def test_instances_are_counted_apart_and_what_is_for_administration_takes_nothing() -> None:
    async with given() as here:
        (uid,) = here.bind("a")
        instances = [device(f"gpu-1-mig-9-{number}-1", "mig") for number in range(7)]
        here.store.create(RESOURCESLICES, slice_of([device("gpu-0"), *instances]))
        here.store.create(RESOURCECLAIMS, claim("c", ["gpu-1-mig-9-0-1", "gpu-1-mig-9-1-1"], uid))
        here.store.create(RESOURCECLAIMS, claim("look", ["gpu-0"], uid, adminAccess=True))
        here.store.create(RESOURCECLAIMS, claim("nic", ["gpu-0"], uid, driver="nic.example.com"))
        await here.shows(1, 1, 0)
        assert here.row is not None
        assert here.row.own_work is not None
        assert (here.row.node.mig_allocatable, here.row.own_work.mig_used) == (7, 2)


async def test_the_doctor_says_what_may_not_be_read_of_claims() -> None:
    async with given() as here:
        assert [remark.about for remark in await examine(here.api)] == ["sim version"]
        here.cluster.api.permissions.deny("watch", "resourceclaims")
        (_, remark) = await examine(here.api)
        assert (remark.about, remark.ok) == ("sim claims", None)
        assert "you may not watch resourceclaims: GPUs that claims give out (DRA) are unknown" in remark.says
    async with given(serves="") as here:
        here.cluster.api.permissions.deny("*", "resourceclaims")
        assert len(await examine(here.api)) == 1
