"""The fleet as it is found: its size, its story, and that a seed tells it again."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from backends.simulated.fleet_plan import Story, plan_fleet
from backends.simulated.objects import JOBS, LEASES, NODES, PDBS, PODS, Json
from backends.simulated.world import World
from tests.clocks import ManualClock
from tests.unit.simulated.worlds import Bench, gpus_of, status_of, taints_of


def test_sixty_nodes_of_three_categories_one_of_them_between_two_images() -> None:
    nodes = Bench().store.list(NODES)
    labels = [node["metadata"]["labels"] for node in nodes]
    assert Counter(each["node.lab/category"] for each in labels) == {"h100": 30, "a100": 18, "l40s": 12}
    images = {(each["node.lab/category"], each["node.lab/image-version"]) for each in labels}
    assert images == {("h100", "v1"), ("h100", "v2"), ("a100", "v1"), ("l40s", "v1")}


def test_the_same_seed_makes_the_same_fleet_byte_for_byte_even_after_an_hour() -> None:
    one, other = Bench(seed=7), Bench(seed=7)
    assert one.everything() == other.everything()
    for bench in (one, other):
        bench.after(3600)
    assert one.everything() == other.everything()


def test_another_seed_makes_another_fleet() -> None:
    assert Bench(seed=7).everything() != Bench(seed=8).everything()


def test_a_node_shows_what_a_kubelet_and_feature_discovery_report() -> None:
    node = Bench().node("gpu-h100-001")
    labels, info = node["metadata"]["labels"], node["status"]["nodeInfo"]
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
    assert labels["nvidia.com/gpu.count"] == "8"
    assert labels["nvidia.com/cuda.driver-version.full"] == "570.133.20"
    assert labels["kubernetes.io/hostname"] == "gpu-h100-001"
    assert info["bootID"].count("-") == 4
    assert info["osImage"].startswith("Ubuntu")
    assert gpus_of(node) == ("8", "8")
    assert node["metadata"]["annotations"]["kwok.x-k8s.io/node"] == "fake"
    assert node["metadata"]["annotations"]["node.lab/desired-image"] == "v2"


def _node_of(bench: Bench, story: Story) -> Json:
    (plan,) = [each for each in bench.world.plan.nodes if each.story is story]
    return bench.node(plan.name)


def test_the_quarantined_node_lost_a_gpu_and_is_closed_with_the_verdict_that_says_so() -> None:
    node = _node_of(Bench(), Story.QUARANTINED)
    assert gpus_of(node) == ("8", "7")
    assert taints_of(node) == ["node.lab/health-gate"]
    gate = json.loads(node["metadata"]["annotations"]["node.lab/gate"])
    assert gate["verdict"] == "FAIL"
    assert gate["boot"] == node["status"]["nodeInfo"]["bootID"]
    assert {finding["check"] for finding in gate["failing"]} == {"gpus", "xid"}
    assert {finding["threshold"] for finding in gate["failing"]} == {"8", "no forbidden XID"}


def test_a_person_s_hold_names_the_role_the_reason_and_the_time() -> None:
    node = _node_of(Bench(), Story.HELD)
    (hold,) = json.loads(node["metadata"]["annotations"]["node.lab/held-by"])
    assert (hold["by"], hold["verb"], hold["found"]) == ("oncall", "cordon", "open")
    assert hold["reason"]
    assert taints_of(node) == ["node.kubernetes.io/unschedulable"]


def test_the_foreign_hold_leaves_the_keys_of_its_controller() -> None:
    node = _node_of(Bench(), Story.FOREIGN)
    labels = node["metadata"]["labels"]
    assert labels["k8saas.nvidia.com/cordon-by"] == "NVSentinel"
    assert labels["k8saas.nvidia.com/cordon-timestamp"] == "2026-03-01T01-25-00Z"
    assert status_of(node, "GpuNvlinkWatch") == "True"


def test_the_unreachable_node_is_unknown_and_its_work_unready() -> None:
    bench = Bench()
    node = _node_of(bench, Story.UNREACHABLE)
    assert status_of(node) == "Unknown"
    assert taints_of(node) == ["node.kubernetes.io/unreachable"]
    work = bench.pods_on(node["metadata"]["name"])
    assert work
    assert all(status_of(pod) == "False" for pod in work)


def test_new_and_drained_nodes_are_empty_and_closed() -> None:
    bench = Bench()
    for story, closed_by in (
        (Story.PROVISIONING, "node.lab/health-gate"),
        (Story.DRAINED, "node.kubernetes.io/unschedulable"),
    ):
        node = _node_of(bench, story)
        assert taints_of(node) == [closed_by]
        assert bench.pods_on(node["metadata"]["name"]) == []


def test_one_budget_allows_nothing_and_says_whose_it_is() -> None:
    bench = Bench()
    blocking = [each for each in bench.store.list(PDBS) if not each["status"]["disruptionsAllowed"]]
    assert [each["metadata"]["name"] for each in blocking] == ["embeddings-pdb"]
    assert blocking[0]["metadata"]["annotations"]["node.lab/owner"] == "team-search"
    node = _node_of(bench, Story.BUDGET)
    assert len(bench.pods_on(node["metadata"]["name"])) == 2


def test_gangs_are_jobs_of_many_nodes_and_no_gpu_is_given_twice() -> None:
    bench = Bench()
    gang = next(job for job in bench.store.list(JOBS) if job["metadata"]["name"] == "pretrain-70b")
    nodes = {pod["spec"]["nodeName"] for pod in bench.pods_of("pretrain-70b")}
    assert len(nodes) == gang["spec"]["parallelism"] == 8
    for machine in bench.world.hall:
        asked = sum(
            int(container["resources"].get("limits", {}).get("nvidia.com/gpu", 0))
            for pod in bench.store.pods_on(machine.name)
            for container in pod["spec"]["containers"]
        )
        assert asked == sum(holder is not None for holder in machine.holders) <= machine.category.gpus


def test_nothing_is_pending_and_nothing_happens_to_a_quiet_fleet() -> None:
    bench = Bench()
    before = bench.store.version
    assert {pod["status"]["phase"] for pod in bench.store.list(PODS)} == {"Running"}
    bench.after(9)
    assert bench.store.version == before


def test_small_fleets_renew_their_leases_and_a_silent_node_does_not() -> None:
    bench = Bench()
    bench.clock._set(bench.clock.monotonic() + 60)
    bench.world.catch_up()
    leases = {each["metadata"]["name"]: each["spec"]["renewTime"] for each in bench.store.list(LEASES)}
    silent = _node_of(bench, Story.UNREACHABLE)["metadata"]["name"]
    assert leases.pop(silent) == "2026-03-01T03:00:00.000000Z"
    assert set(leases.values()) == {"2026-03-01T03:01:00.000000Z"}


@pytest.mark.parametrize("nodes", [1, 2, 3, 5, 10, 61, 400])
def test_a_fleet_of_any_size_has_that_many_nodes_with_names_of_their_own(nodes: int) -> None:
    plan = plan_fleet(nodes)
    assert len({each.name for each in plan.nodes}) == nodes
    assert sum(each.story is not None for each in plan.nodes) <= max(1, nodes // 2)


@pytest.mark.parametrize("nodes", [0, -1, 20_001])
def test_a_size_out_of_range_is_refused(nodes: int) -> None:
    with pytest.raises(ValueError, match=str(nodes)):
        plan_fleet(nodes)


def test_a_fleet_can_be_filled_up_to_a_number_of_pods() -> None:
    world = World(plan_fleet(20, 1, pods=500), ManualClock())
    assert world.store.count(PODS) == 500
