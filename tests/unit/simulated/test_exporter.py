"""The exporters' text: dcgm-exporter's families and labels, its blanks, and numbers that follow the work."""

from __future__ import annotations

import re
from itertools import pairwise

from backends.simulated.exporter import Fields, page
from backends.simulated.faults import FaultKind, fault
from backends.simulated.sensors import NOT_SUPPORTED, read_gpu
from fleet.gpu_rows import GpuRows, node_from_gpus
from tests.builders import NOW
from tests.unit.simulated.worlds import Bench

_SAMPLE = re.compile(r'^(?P<name>[A-Z_]+)\{(?P<labels>(?:[A-Za-z_]+="[^"]*",?)*)\} (?P<value>\S+)$')
_LABEL = re.compile(r'([A-Za-z_]+)="([^"]*)"')
Sample = tuple[str, dict[str, str], str]


def text_of(bench: Bench, *nodes: str) -> str:
    machines = [bench.world.hall.get(node) for node in nodes]
    return "".join(page([each for each in machines if each is not None], bench.world.now))


def samples(text: str) -> list[Sample]:
    found = [_SAMPLE.match(line) for line in text.splitlines() if not line.startswith("#")]
    assert all(found)
    return [(each["name"], dict(_LABEL.findall(each["labels"])), each["value"]) for each in found if each]


def whole_text(bench: Bench, *nodes: str) -> str:
    machines = [bench.world.hall.get(node) for node in nodes]
    return "".join(page([each for each in machines if each is not None], bench.world.now, fields=Fields.ALL))


def values(text: str, name: str) -> list[float]:
    return [float(value) for each, _, value in samples(text) if each == name]


def test_the_default_families_each_once_with_help_and_type() -> None:
    text = text_of(Bench(), "gpu-h100-019", "gpu-l40s-005")
    families = re.findall(r"^# TYPE (\S+) (gauge|counter)$", text, re.MULTILINE)
    assert len(families) == len(set(families)) == 25
    assert dict(families)["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == "counter"
    assert dict(families)["DCGM_FI_PROF_PCIE_TX_BYTES"] == "gauge"
    assert len(re.findall(r"^# HELP ", text, re.MULTILINE)) == 25
    assert text.endswith("\n")


def test_a_sample_carries_the_exporter_s_labels_in_its_order() -> None:
    bench = Bench()
    line = next(
        each
        for each in text_of(bench, "gpu-h100-019").splitlines()
        if each.startswith("DCGM_FI_DEV_GPU_TEMP{")
    )
    keys = [key for key, _ in _LABEL.findall(line)]
    assert keys == ["gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "DCGM_FI_DRIVER_VERSION"]
    assert 'pci_bus_id="00000000:1B:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3"' in line


def test_a_gpu_in_use_names_its_pod_and_an_idle_one_does_not() -> None:
    bench = Bench()
    pod = bench.pods_of("pretrain-70b")[0]
    busy = [labels for _, labels, _ in samples(text_of(bench, pod["spec"]["nodeName"]))]
    assert {labels["pod"] for labels in busy} == {pod["metadata"]["name"]}
    assert {(labels["namespace"], labels["container"]) for labels in busy} == {("research", "main")}
    assert not [labels for _, labels, _ in samples(text_of(bench, "gpu-h100-019")) if "pod" in labels]


def test_what_an_l40s_lacks_is_blank_or_absent() -> None:
    text = text_of(Bench(), "gpu-l40s-005")
    assert set(values(text, "DCGM_FI_DEV_MEMORY_TEMP")) == {float(NOT_SUPPORTED)}
    assert f"}} {NOT_SUPPORTED}\n" in text
    assert "NVLINK" not in text
    assert len(values(text, "DCGM_FI_DEV_GPU_TEMP")) == 4


def test_an_xid_carries_its_code_and_message_as_labels_and_none_carries_none() -> None:
    bench = Bench()
    errors = [
        (labels.get("err_code"), labels.get("err_msg"), value)
        for name, labels, value in samples(text_of(bench, "gpu-h100-004"))
        if name == "DCGM_FI_DEV_XID_ERRORS"
    ]
    assert len(errors) == 8
    assert errors[3] == ("79", "GPU has fallen off the bus", "79")
    assert errors[0] == (None, None, "0")


def test_busy_gpus_work_and_are_warmer_than_idle_ones() -> None:
    bench = Bench()
    busy = text_of(bench, bench.pods_of("pretrain-70b")[0]["spec"]["nodeName"])
    idle = text_of(bench, "gpu-h100-019")
    assert min(values(busy, "DCGM_FI_DEV_GPU_UTIL")) > 60
    assert set(values(idle, "DCGM_FI_DEV_GPU_UTIL")) == {0}
    for name in ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_FB_USED"):
        assert min(values(busy, name)) > max(values(idle, name))


def test_memory_used_free_and_reserved_make_the_whole() -> None:
    bench = Bench()
    node = bench.pods_of("chat-l40s")[0]["spec"]["nodeName"]
    text = text_of(bench, node)
    parts = zip(
        *(values(text, f"DCGM_FI_DEV_FB_{part}") for part in ("USED", "FREE", "RESERVED")), strict=True
    )
    assert {sum(each) for each in parts} == {46068}


def test_readings_change_slowly_and_the_same_moment_reads_the_same() -> None:
    bench = Bench()
    machine = bench.world.hall.get(bench.pods_of("pretrain-70b")[0]["spec"]["nodeName"])
    assert machine is not None
    temperatures = [read_gpu(machine, 0, at).celsius for at in range(0, 600, 5)]
    assert max(abs(one - next_) for one, next_ in pairwise(temperatures)) <= 2
    assert len(set(temperatures)) > 1
    assert read_gpu(machine, 0, 77.0) == read_gpu(machine, 0, 77.0)


def test_counters_only_grow_while_work_comes_and_goes() -> None:
    bench = Bench()
    victim = bench.pods_of("pretrain-70b")[0]
    node = victim["spec"]["nodeName"]
    counted = [values(text_of(bench, node), "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION")[0]]
    bench.mark_deleted(victim)
    for _ in range(5):
        bench.after(30)
        counted.append(values(text_of(bench, node), "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION")[0])
    assert counted == sorted(counted)
    assert counted[0] < counted[-1]


def test_a_page_of_no_machines_is_empty() -> None:
    assert text_of(Bench()) == ""


def test_every_field_comes_only_where_it_is_asked_for() -> None:
    bench = Bench()
    usual, whole = text_of(bench, "gpu-h100-019"), whole_text(bench, "gpu-h100-019")
    assert "DCGM_FI_PROF_SM_ACTIVE" not in usual
    assert values(whole, "DCGM_FI_DEV_PCIE_LINK_WIDTH") == [16.0] * 8
    assert len(values(whole, "DCGM_FI_DEV_NVLINK_GET_STATE")) == 8 * 18
    assert {labels["DCGM_FI_DEV_VBIOS_VERSION"] for _, labels, _ in samples(whole)} == {"96.00.89.00.01"}


def test_every_sample_of_the_whole_list_is_a_number() -> None:
    bench = Bench()
    bench.world.inject(fault(FaultKind.ECC, "gpu-h100-019", gpu=1))
    for name, _, value in samples(whole_text(bench, "gpu-h100-019", "gpu-l40s-005")):
        assert float(value) >= -100, name


def test_a_hot_gpu_says_why_its_clocks_are_low() -> None:
    bench = Bench()
    bench.world.inject(fault(FaultKind.HOT_GPU, "gpu-h100-019", gpu=2))
    whole = whole_text(bench, "gpu-h100-019")
    assert values(whole, "DCGM_FI_DEV_CLOCKS_EVENT_REASONS")[2] == 0x48
    assert values(whole, "DCGM_FI_DEV_GPU_TEMP_LIMIT")[2] < 0


def test_a_card_without_links_has_no_link_series() -> None:
    assert "NVLINK" not in whole_text(Bench(), "gpu-l40s-005")


def test_a_short_page_tells_what_the_fleet_s_table_shows_in_a_tenth_of_the_room() -> None:
    bench = Bench()
    machines = [each for each in (bench.world.hall.get("gpu-h100-019"),) if each is not None]
    short = "".join(page(machines, bench.world.now, fields=Fields.FEW))
    rows = GpuRows(lambda labels: labels["Hostname"])
    for name, labels, value in samples(short):
        rows.add(name, labels, float(value))
    (gpus,) = rows.by_node(NOW).values()
    told = node_from_gpus(gpus, NOW)
    assert told.gpus_seen == len(machines[0].working_gpus)
    measured = (
        told.gpu_util,
        told.gpu_temp_max,
        told.power_watts,
        told.fb_used_ratio,
        told.row_remap_failure,
    )
    assert None not in measured
    assert told.xid == 0
    assert len(short) < len(text_of(bench, "gpu-h100-019")) / 10
