"""Faults: what each breaks, that it is seen where it would be seen, and what ends it."""

from __future__ import annotations

import pytest

from backends.simulated.exporter import page
from backends.simulated.faults import Fault, FaultKind, fault
from backends.simulated.objects import PDBS
from backends.simulated.world import NoSuchMachine
from tests.unit.simulated.worlds import Bench, gpus_of, status_of, taints_of

NODE = "gpu-h100-019"  # empty


def metric(bench: Bench, node: str, name: str) -> list[float]:
    """The values of a metric on a node's page, GPU by GPU."""
    machine = bench.world.hall.get(node)
    assert machine is not None
    text = "".join(page([machine], bench.world.now))
    return [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + "{")]


def test_xid_79_takes_the_gpu_from_the_node_and_its_sensors_from_the_page() -> None:
    bench = Bench()
    bench.world.inject(fault(FaultKind.XID, NODE, gpu=2))
    assert gpus_of(bench.node(NODE)) == ("8", "7")
    assert metric(bench, NODE, "DCGM_FI_DEV_XID_ERRORS") == [0, 0, 79, 0, 0, 0, 0, 0]
    assert len(metric(bench, NODE, "DCGM_FI_DEV_GPU_TEMP")) == 7


def test_another_xid_is_reported_and_takes_nothing() -> None:
    bench = Bench()
    bench.world.inject(fault(FaultKind.XID, NODE, gpu=1, code=31))
    assert gpus_of(bench.node(NODE)) == ("8", "8")
    assert metric(bench, NODE, "DCGM_FI_DEV_XID_ERRORS")[1] == 31


def test_an_xid_stays_on_the_page_after_its_fault_is_gone_and_leaves_with_a_boot() -> None:
    bench = Bench()
    bench.world.inject(fault(FaultKind.XID, NODE, gpu=1, code=94))
    bench.world.lift(fault(FaultKind.XID, NODE, gpu=1, code=94))
    assert metric(bench, NODE, "DCGM_FI_DEV_XID_ERRORS")[1] == 94
    bench.recreate(NODE, "v2")
    bench.after(200)
    assert metric(bench, NODE, "DCGM_FI_DEV_XID_ERRORS") == [0] * 8


def test_a_boot_clears_an_xid_and_not_a_physical_fault() -> None:
    bench = Bench()
    bench.world.inject(fault(FaultKind.XID, NODE, gpu=0))
    bench.world.inject(fault(FaultKind.TOO_FEW_GPUS, NODE, gpu=1))
    bench.recreate(NODE, "v2")
    bench.after(200)
    assert gpus_of(bench.node(NODE)) == ("7", "7")
    assert [each.kind for each in bench.world.faults if each.node == NODE] == [FaultKind.TOO_FEW_GPUS]


def test_a_gpu_that_is_put_back_is_counted_before_it_is_offered() -> None:
    """A drill mends what it broke; a node never offers more GPUs than it has."""
    bench = Bench()
    bench.world.inject(fault(FaultKind.TOO_FEW_GPUS, NODE, gpu=1))
    bench.recreate(NODE, "v2")
    bench.after(200)
    bench.world.lift(fault(FaultKind.TOO_FEW_GPUS, NODE, gpu=1))
    bench.after(30)
    assert gpus_of(bench.node(NODE)) == ("8", "8")


def test_a_fault_may_be_told_to_outlast_boots() -> None:
    bench = Bench()
    bench.world.inject(fault(FaultKind.XID, NODE, survives_boot=True))
    bench.recreate(NODE, "v2")
    bench.after(200)
    assert gpus_of(bench.node(NODE)) == ("7", "7")


def test_an_ecc_error_remaps_a_row_and_a_failed_remap_says_so() -> None:
    bench = Bench()
    bench.world.inject(fault(FaultKind.ECC, NODE, gpu=0))
    bench.world.inject(fault(FaultKind.ROW_REMAP, NODE, gpu=1))
    assert metric(bench, NODE, "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS")[:3] == [1, 1, 0]
    assert metric(bench, NODE, "DCGM_FI_DEV_ROW_REMAP_FAILURE")[:3] == [0, 1, 0]
    assert metric(bench, NODE, "DCGM_FI_DEV_XID_ERRORS")[:3] == [48, 64, 0]


def test_a_hot_gpu_is_hot_at_every_hour_and_its_neighbours_are_not() -> None:
    bench = Bench()
    bench.world.inject(fault(FaultKind.HOT_GPU, NODE, gpu=4))
    for _ in range(5):
        bench.after(720)
        temperatures = metric(bench, NODE, "DCGM_FI_DEV_GPU_TEMP")
        assert temperatures.pop(4) > 90
        assert max(temperatures) < 75


def test_without_its_exporter_a_node_shows_no_telemetry_until_it_is_back() -> None:
    bench = Bench()
    gone = fault(FaultKind.EXPORTER_GONE, NODE)
    bench.world.inject(gone)
    assert not bench.world.exports(NODE)
    bench.after(600)
    assert not bench.world.exports(NODE)
    (pod,) = [pod for pod in bench.store.pods_on(NODE) if "dcgm" in pod["metadata"]["name"]]
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    bench.world.lift(gone)
    bench.after(10)
    assert bench.world.exports(NODE)


def test_without_its_device_plugin_a_node_allocates_no_gpu() -> None:
    bench = Bench()
    gone = fault(FaultKind.DEVICE_PLUGIN_GONE, NODE)
    bench.world.inject(gone)
    assert gpus_of(bench.node(NODE)) == ("8", "0")
    bench.world.lift(gone)
    bench.after(10)
    assert gpus_of(bench.node(NODE)) == ("8", "8")


def test_a_silent_node_is_unknown_after_forty_seconds_and_ready_again_when_heard() -> None:
    bench = Bench()
    silent = fault(FaultKind.UNREACHABLE, "gpu-h100-001")
    bench.world.inject(silent)
    bench.after(39)
    assert status_of(bench.node("gpu-h100-001")) == "True"
    assert not bench.world.exports("gpu-h100-001")
    bench.after(2)
    assert status_of(bench.node("gpu-h100-001")) == "Unknown"
    assert taints_of(bench.node("gpu-h100-001")) == ["node.kubernetes.io/unreachable"]
    bench.world.lift(silent)
    assert status_of(bench.node("gpu-h100-001")) == "True"
    assert taints_of(bench.node("gpu-h100-001")) == []
    assert bench.world.exports("gpu-h100-001")


def test_an_eviction_on_a_silent_node_ends_only_when_the_node_is_heard_again() -> None:
    bench = Bench()
    victim = bench.pods_of("pretrain-70b")[0]
    node, name = victim["spec"]["nodeName"], victim["metadata"]["name"]
    silent = fault(FaultKind.UNREACHABLE, node)
    bench.world.inject(silent)
    bench.mark_deleted(victim)
    bench.after(3600)
    assert bench.pod(name, "research") is not None
    bench.world.lift(silent)
    bench.after(60)
    assert bench.pod(name, "research") is None


def test_a_boot_that_hangs_goes_on_once_it_is_helped() -> None:
    bench = Bench()
    hangs = fault(FaultKind.BOOT_HANGS, NODE)
    bench.world.inject(hangs)
    bench.recreate(NODE, "v2")
    bench.after(3600)
    assert status_of(bench.node(NODE)) == "Unknown"
    bench.world.lift(hangs)
    bench.after(60)
    assert status_of(bench.node(NODE)) == "True"


def test_a_blocking_budget_covers_every_workload_of_the_node_and_is_put_back() -> None:
    bench = Bench()
    node = bench.pods_of("chat-l40s")[0]["spec"]["nodeName"]
    before = {each["metadata"]["name"]: each["spec"] for each in bench.store.list(PDBS)}
    blocks = fault(FaultKind.BUDGET_BLOCKS, node)
    bench.world.inject(blocks)
    bench.after(1)
    assert bench.allowed("chat-l40s-pdb", "serving") == 0
    bench.world.lift(blocks)
    bench.after(1)
    assert {each["metadata"]["name"]: each["spec"] for each in bench.store.list(PDBS)} == before
    assert bench.allowed("chat-l40s-pdb", "serving") == 1


def test_a_blocking_budget_is_made_where_there_was_none_and_taken_away_again() -> None:
    bench = Bench()
    node = bench.pods_of("pretrain-70b")[0]["spec"]["nodeName"]
    blocks = fault(FaultKind.BUDGET_BLOCKS, node)
    bench.world.inject(blocks)
    bench.after(1)
    assert bench.allowed("sim-pretrain-70b", "research") == 0
    bench.world.lift(blocks)
    assert bench.store.get(PDBS, "sim-pretrain-70b", "research") is None


def test_the_same_fault_twice_is_one() -> None:
    bench = Bench()
    for _ in range(2):
        bench.world.inject(fault(FaultKind.HOT_GPU, NODE))
    assert sum(each.node == NODE for each in bench.world.faults) == 1


def test_a_machine_or_a_gpu_that_is_not_there_can_t_break() -> None:
    bench = Bench()
    with pytest.raises(NoSuchMachine, match="nobody"):
        bench.world.inject(fault(FaultKind.HOT_GPU, "nobody"))
    with pytest.raises(ValueError, match="GPUs 0 to 7, not 8"):
        bench.world.inject(fault(FaultKind.HOT_GPU, NODE, gpu=8))


@pytest.mark.parametrize(
    ("kind", "gpu", "code"),
    [
        (FaultKind.UNREACHABLE, 1, None),
        (FaultKind.HOT_GPU, 1, 79),
        (FaultKind.XID, 1, 0),
        (FaultKind.XID, 1, 5000),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(kind: FaultKind, gpu: int | None, code: int | None) -> None:
    with pytest.raises(ValueError, match=r"gpu|code"):
        fault(kind, NODE, gpu=gpu, code=code)


def test_what_a_fault_leaves_open_is_filled_in() -> None:
    assert fault(FaultKind.XID, NODE) == Fault(FaultKind.XID, NODE, 0, 79, survives_boot=False)
