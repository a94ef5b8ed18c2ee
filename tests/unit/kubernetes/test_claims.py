"""What slices offer and claims hold, as any version of the API may tell it, whole or in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backends.kubernetes.claim_shapes import CLAIMS, SLICES, ClaimShape, SliceShape
from backends.kubernetes.claims import Claims, Device, Held, Offer, Slices

DRIVER = "gpu.nvidia.com"


def gpu(name: str, kind: str | None = "gpu", **more: Any) -> dict[str, Any]:
    attributes = {} if kind is None else {"type": {"string": kind}}
    return {"name": name, "attributes": attributes, **more}


def slice_(*devices: dict[str, Any], name: str = "s1", **spec: Any) -> SliceShape:
    pool = {"name": "n1", "generation": 1, "resourceSliceCount": 1, **spec.pop("pool", {})}
    body = {"driver": DRIVER, "nodeName": "n1", "pool": pool, "devices": list(devices), **spec}
    return SLICES.one(json.dumps({"metadata": {"name": name}, "spec": body}).encode())


def claim(*results: dict[str, Any], name: str = "c1", users: tuple[str, ...] = ("u1",)) -> ClaimShape:
    allocated = [{"driver": DRIVER, "pool": "n1", **each} for each in results]
    status = {
        "allocation": {"devices": {"results": allocated}},
        "reservedFor": [{"resource": "pods", "uid": uid} for uid in users],
    }
    return CLAIMS.one(json.dumps({"metadata": {"name": name, "uid": name}, "status": status}).encode())


def offer(*slices: SliceShape) -> Offer | None:
    kept = Slices()
    kept.put(slices)
    return kept.offer("n1")


@pytest.mark.parametrize(
    ("device", "offered"),
    [
        (gpu("gpu-0"), Offer(1, 1, 0)),
        ({"name": "gpu-0", "basic": {"attributes": {"type": {"string": "gpu"}}}}, Offer(1, 1, 0)),
        (gpu("gpu-0", None), Offer(1, 1, 0)),
        (gpu("gpu-0", "mig"), Offer(0, 0, 1)),
        (gpu("gpu-0-mig-9-4-4", None), Offer(0, 0, 1)),
        (gpu("gpu-0-mig-9-4-4", "mig", consumesCounters=[{"counterSet": "gpu-0"}]), Offer(0, 0, 0)),
        (gpu("gpu-vfio-0", "vfio"), Offer(0, 0, 0)),
        (gpu("gpu-0", taints=[{"key": "sick", "effect": "NoSchedule"}]), Offer(1, 0, 0)),
        (gpu("gpu-0", taints=[{"key": "note", "effect": "None"}]), Offer(1, 1, 0)),
        ({"name": "gpu-0", "basic": {"taints": [{"effect": "NoExecute"}]}}, Offer(1, 0, 0)),
        ({"name": "gpu-0", "attributes": {"type": {"int": 3}}}, Offer(1, 1, 0)),
    ],
)
def test_a_device_is_what_its_driver_says_or_calls_it(device: dict[str, Any], offered: Offer) -> None:
    assert offer(slice_(device)) == offered


def test_other_drivers_and_pools_of_no_one_node_offer_nothing() -> None:
    assert offer(slice_(gpu("gpu-0"), driver="compute-domain.nvidia.com")) is None
    assert offer(slice_(gpu("gpu-0"), nodeName=None, allNodes=True)) is None
    assert offer() is None


def test_a_pool_counts_by_its_highest_generation_and_only_once_it_is_whole() -> None:
    two = {"generation": 2, "resourceSliceCount": 2}
    old = slice_(*[gpu(f"gpu-{number}") for number in range(8)], name="old")
    first, second = slice_(gpu("gpu-0"), name="a", pool=two), slice_(gpu("gpu-1"), name="b", pool=two)
    assert offer(old, first) == offer(first, old) == Offer(None, None, 0)
    assert offer(second, old, first) == Offer(2, 2, 0)


def test_a_slice_that_changes_or_goes_takes_what_it_offered_with_it() -> None:
    kept = Slices()
    assert kept.put([slice_(gpu("gpu-0"))]) == {"n1"}
    assert kept.put([slice_(gpu("gpu-0"), nodeName="n2", pool={"name": "n2"})]) == {"n1", "n2"}
    assert (kept.offer("n1"), kept.offer("n2")) == (None, Offer(1, 1, 0))
    assert kept.nodes_of(["n1", "n2"]) == {"n2"}
    assert kept.drop(slice_()) == {"n2"}
    assert kept.drop(slice_()) == set()
    assert (kept.nodes, kept.nodes_of(["n2"])) == ([], set())


def test_a_device_that_several_claims_hold_is_held_once_by_all_their_pods() -> None:
    kept = Claims()
    assert kept.put([claim({"device": "gpu-0"}, {"device": "gpu-1"})]) == {"n1"}
    kept.put([claim({"device": "gpu-0"}, name="c2", users=("u2",))])
    held = kept.held({"n1"}, {})
    assert sorted(held, key=lambda each: len(each.pods)) == [
        Held(Device.GPU, frozenset({"u1"})),
        Held(Device.GPU, frozenset({"u1", "u2"})),
    ]
    assert kept.put([claim(name="c2")]) == {"n1"}
    assert [each.pods for each in kept.held({"n1"}, {})] == [frozenset({"u1"})] * 2


def test_claims_that_hold_nothing_of_ours_are_not_kept() -> None:
    kept = Claims()
    pending = CLAIMS.one(b'{"metadata": {"name": "p", "uid": "p"}, "status": {}}')
    assert kept.put([pending, CLAIMS.one(b'{"metadata": {"name": "q"}}')]) == set()
    assert kept.put([claim({"device": "gpu-0", "adminAccess": True})]) == set()
    assert kept.put([claim({"device": "nic-0", "driver": "nic.example.com"})]) == set()
    assert kept.held({"n1"}, {}) == []
