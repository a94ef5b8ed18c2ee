"""What exporters leave out, and which checks of a gate miss it."""

from __future__ import annotations

import pytest

from fleet.category import Category, CheckPolicy
from fleet.coverage import GROUPS, WANTS, cover, grouped, unread
from fleet.gpu_checks import FROM_TELEMETRY
from fleet.gpu_rows import METRICS
from fleet.telemetry import GpuTelemetry

LITTLE = GpuTelemetry("0", util=0, temp=50, power_watts=70, fb_used_mib=0, xid=0, row_remap_failure=False)
MORE = GpuTelemetry("0", util=0, temp=50, power_watts=70, fb_used_mib=0, memory_temp=60)


def test_every_check_of_telemetry_knows_what_it_reads() -> None:
    assert {want.check for want in WANTS} - {""} == FROM_TELEMETRY.keys() - {"telemetry"}


@pytest.mark.parametrize("want", WANTS, ids=lambda want: want.field)
def test_a_column_is_a_field_of_a_gpu_and_its_metrics_are_read(want) -> None:  # type: ignore[no-untyped-def]
    assert want.field in GpuTelemetry.__slots__
    assert all(metric in METRICS or metric.endswith("_VERSION") for metric in want.metrics)


def test_zero_and_false_are_told_and_only_what_nobody_told_is_absent() -> None:
    coverage = cover([[LITTLE], [MORE]])
    told = {want.field for want in WANTS} - {want.field for want in coverage.absent}
    assert told == {"util", "temp", "power_watts", "fb_used_mib", "xid", "row_remap_failure", "memory_temp"}
    assert {want.field: count for want, count in coverage.partial} == {
        "xid": 1,
        "row_remap_failure": 1,
        "memory_temp": 1,
    }


def test_a_node_of_which_nothing_was_read_tells_nothing() -> None:
    assert cover([[]]).absent == WANTS


def test_a_column_is_told_where_every_gpu_tells_it_a_mig_one_by_any_of_its_instances() -> None:
    silent = GpuTelemetry("1", util=5)
    parent, slice_ = GpuTelemetry("2", "u", xid=0), GpuTelemetry("2", "u", instance="7", fb_used_mib=1)
    assert "xid" in {want.field for want in cover([[LITTLE, silent]]).absent}
    assert not {"xid", "fb_used_mib"} & {want.field for want in cover([[parent, slice_]]).absent}


def test_a_needed_check_without_its_metric_is_unknown_and_another_says_nothing() -> None:
    needed, silent = unread(cover([[MORE]]), Category("h100"))
    assert [want.check for want in needed] == ["xid"]
    assert "row-remap" in {want.check for want in silent}
    assert "vbios" not in {want.check for want in (*needed, *silent)}


def test_a_category_says_what_it_needs() -> None:
    checks = {
        "xid": CheckPolicy(needed=False),
        "ecc-dbe": CheckPolicy(needed=True),
        "nvlink": CheckPolicy(enabled=False),
    }
    needed, silent = unread(cover([[MORE]]), Category("h100", vbios="96.00", checks=checks))
    assert {want.check for want in needed} == {"ecc-dbe", "vbios"}
    assert "xid" in {want.check for want in silent}
    assert "nvlink" not in {want.check for want in silent}


def test_every_column_is_in_one_group() -> None:
    fields = [field for fields in GROUPS.values() for field in fields]
    assert sorted(fields) == sorted(want.field for want in WANTS)
    some = [want for want in WANTS if want.field in ("pcie_width", "util", "driver", "sm_active")]
    assert {name: [want.field for want in wants] for name, wants in grouped(some).items()} == {
        "activity": ["util", "sm_active"],
        "links": ["pcie_width"],
        "state and versions": ["driver"],
    }
