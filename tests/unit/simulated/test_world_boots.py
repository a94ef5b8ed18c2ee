"""Nodes that come and go: boot, imaging, what a boot changes and what it does not, silence, and clearing up."""

from __future__ import annotations

from backends.simulated.faults import FaultKind, fault
from backends.simulated.objects import LEASES, NODES, PODS
from tests.unit.simulated.worlds import GATE, Bench, gpus_of, kind_of_owner, status_of, taints_of

NODE = "gpu-h100-019"  # drained, on v1


def test_a_recreated_node_boots_gated_at_its_new_image_with_a_boot_id_of_its_own() -> None:
    bench = Bench()
    before = bench.node(NODE)["status"]["nodeInfo"]
    bench.recreate(NODE, "v2")
    bench.after(30)
    assert status_of(bench.node(NODE)) is None
    bench.after(120)
    node = bench.node(NODE)
    info = node["status"]["nodeInfo"]
    assert status_of(node) == "True"
    assert info["bootID"] != before["bootID"]
    assert info["machineID"] == before["machineID"]
    assert info["osImage"] != before["osImage"]
    assert node["metadata"]["labels"]["nvidia.com/cuda.driver-version.full"] == "570.133.20"
    assert gpus_of(node) == ("8", "8")
    assert taints_of(node) == ["node.lab/health-gate"]
    assert bench.world.exports(NODE)


def test_what_the_creator_says_of_capacity_is_not_believed() -> None:
    bench = Bench()
    bench.recreate(NODE, "v2")
    assert bench.node(NODE)["status"] == {}
    assert taints_of(bench.node(NODE)) == ["node.kubernetes.io/not-ready", "node.lab/health-gate"]


def test_what_the_creator_set_in_labels_and_annotations_is_kept() -> None:
    bench = Bench()
    bench.recreate(NODE, "v2", annotations={"kwok.x-k8s.io/node": "fake", "node.lab/operation": "op-1"})
    bench.after(200)
    metadata = bench.node(NODE)["metadata"]
    assert metadata["annotations"]["node.lab/operation"] == "op-1"
    assert metadata["labels"]["node.lab/rack"] == "h100-r05"


def test_gpus_appear_only_when_the_device_plugin_runs() -> None:
    bench = Bench()
    bench.world.inject(fault(FaultKind.DEVICE_PLUGIN_GONE, NODE))
    bench.recreate(NODE, "v2")
    bench.after(200)
    assert status_of(bench.node(NODE)) == "True"
    assert gpus_of(bench.node(NODE)) == (None, None)
    bench.world.lift(fault(FaultKind.DEVICE_PLUGIN_GONE, NODE))
    bench.after(10)
    assert gpus_of(bench.node(NODE)) == ("8", "8")


def test_a_new_node_of_a_known_category_gets_that_category_s_machine() -> None:
    bench = Bench()
    metadata = {
        "name": "gpu-l40s-099",
        "labels": {"node.lab/category": "l40s", "node.lab/image-version": "v1"},
        "annotations": {"kwok.x-k8s.io/node": "fake"},
    }
    bench.store.create(NODES, {"metadata": metadata, "spec": {"taints": [GATE]}})
    bench.after(200)
    node = bench.node("gpu-l40s-099")
    assert gpus_of(node) == ("4", "4")
    assert node["metadata"]["labels"]["nvidia.com/gpu.product"] == "NVIDIA-L40S"
    assert taints_of(node) == ["node.lab/health-gate"]


def test_a_new_node_that_says_nothing_gets_eight_gpus() -> None:
    bench = Bench()
    bench.store.create(
        NODES, {"metadata": {"name": "stray", "annotations": {"kwok.x-k8s.io/node": "fake"}}, "spec": {}}
    )
    bench.after(200)
    assert gpus_of(bench.node("stray")) == ("8", "8")


def test_a_node_without_the_annotation_has_no_machine_and_is_given_up_on() -> None:
    bench = Bench()
    bench.store.create(NODES, {"metadata": {"name": "ghost"}, "spec": {}})
    bench.after(200)
    assert status_of(bench.node("ghost")) == "Unknown"


def test_an_image_nobody_planned_still_boots() -> None:
    bench = Bench()
    bench.recreate(NODE, "v9")
    bench.after(200)
    assert bench.node(NODE)["status"]["nodeInfo"]["osImage"].startswith("Ubuntu")


def test_two_recreations_in_a_row_leave_one_node_with_one_boot() -> None:
    bench = Bench()
    bench.recreate(NODE, "v2")
    bench.after(50)
    bench.recreate(NODE, "v1")
    bench.after(70)
    assert status_of(bench.node(NODE)) != "True"
    bench.after(120)
    node = bench.node(NODE)
    assert status_of(node) == "True"
    assert node["metadata"]["labels"]["nvidia.com/cuda.driver-version.full"] == "550.127.08"


def test_pods_of_a_deleted_node_are_removed_after_about_a_minute() -> None:
    bench = Bench()
    bench.store.delete(NODES, NODE)
    assert bench.store.get(LEASES, NODE, "kube-node-lease") is None
    bench.after(30)
    assert bench.store.pods_on(NODE)
    bench.after(60)
    assert bench.store.pods_on(NODE) == []
    assert not bench.world.exports(NODE)


def test_daemons_of_a_node_recreated_at_once_keep_their_uids_and_start_anew() -> None:
    bench = Bench()
    before = {pod["metadata"]["uid"] for pod in bench.store.pods_on(NODE)}
    bench.recreate(NODE, "v2")
    assert not bench.world.exports(NODE)
    assert {status_of(pod) for pod in bench.store.pods_on(NODE)} == {"False"}
    bench.after(200)
    pods = bench.store.pods_on(NODE)
    assert {pod["metadata"]["uid"] for pod in pods} == before
    assert {status_of(pod) for pod in pods} == {"True"}
    assert {pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods} == {1}
    assert {kind_of_owner(pod) for pod in pods} == {"DaemonSet"}


def test_a_cordon_is_a_taint_too_and_an_uncordon_takes_it_away() -> None:
    bench = Bench()
    bench.change_node("gpu-h100-001", unschedulable=True)
    assert taints_of(bench.node("gpu-h100-001")) == ["node.kubernetes.io/unschedulable"]
    bench.change_node("gpu-h100-001", unschedulable=False)
    assert taints_of(bench.node("gpu-h100-001")) == []


def test_taints_of_others_survive_a_cordon() -> None:
    bench = Bench()
    mine = {"key": "example.org/mine", "effect": "NoSchedule"}
    bench.change_node("gpu-h100-001", taints=[mine], unschedulable=True)
    bench.change_node("gpu-h100-001", unschedulable=False)
    assert bench.node("gpu-h100-001")["spec"]["taints"] == [mine]


def test_speed_makes_everything_sooner_on_the_clock() -> None:
    bench = Bench(speed=20.0)
    bench.recreate(NODE, "v2")
    bench.clock._set(bench.clock.monotonic() + 10)
    bench.world.catch_up()
    assert status_of(bench.node(NODE)) == "True"
    assert bench.node(NODE)["status"]["conditions"][0]["lastHeartbeatTime"] <= "2026-03-01T03:00:10Z"
    assert bench.store.count(PODS) > 0
