"""Samples become rows, and rows become their node."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fleet import sentinels
from fleet.gpu_rows import GpuRows, node_from_gpus
from fleet.telemetry import GpuTelemetry

AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
BLANK = 9223372036854775794.0


def rows_of(*samples: tuple[str, dict[str, str], float]) -> tuple[GpuTelemetry, ...]:
    rows = GpuRows(lambda labels: labels.get("Hostname", ""))
    for metric, labels, value in samples:
        rows.add(metric, {"Hostname": "gpu-1", **labels}, value)
    return rows.by_node(AT).get("gpu-1", ())


def gpu(index: int, **labels: str) -> dict[str, str]:
    return {"gpu": str(index), "UUID": f"GPU-{index}", **labels}


def test_samples_of_one_gpu_are_one_row() -> None:
    (row,) = rows_of(
        (sentinels.GPU_UTIL, gpu(0, modelName="NVIDIA H100 80GB HBM3", DCGM_FI_DRIVER_VERSION="560.35"), 97),
        (sentinels.GPU_TEMP, gpu(0), 61),
        (sentinels.FB_USED, gpu(0), 100),
        (sentinels.FB_FREE, gpu(0), 700),
        (sentinels.FB_RESERVED, gpu(0), 200),
        (sentinels.XID_ERRORS, gpu(0, err_code="31", err_msg="MMU fault"), 31),
        (sentinels.ROW_REMAP_FAILURE, gpu(0), 1),
    )
    assert (row.gpu, row.uuid, row.model, row.driver) == ("0", "GPU-0", "NVIDIA H100 80GB HBM3", "560.35")
    assert (row.util, row.temp, row.fb_used_mib, row.fb_total_mib) == (97, 61, 100, 1000)
    assert (row.xid, row.row_remap_failure, row.at) == (31, True, AT)


def test_what_is_not_exported_is_unknown() -> None:
    (row,) = rows_of((sentinels.GPU_UTIL, gpu(0), 0))
    assert row.util == 0
    assert (row.temp, row.xid, row.row_remap_failure, row.ecc_dbe_volatile, row.fb_total_mib) == (None,) * 5


def test_a_blank_leaves_a_row_that_knows_nothing() -> None:
    rows = rows_of((sentinels.GPU_UTIL, gpu(0), BLANK), (sentinels.FB_USED, gpu(0), BLANK))
    assert [(row.gpu, row.util, row.fb_used_mib) for row in rows] == [("0", None, None)]
    assert node_from_gpus(rows, AT).gpus_seen == 0


def test_instances_of_a_mig_gpu_are_rows_of_one_gpu() -> None:
    rows = rows_of(
        (sentinels.POWER_USAGE, gpu(0, GPU_I_ID="13", GPU_I_PROFILE="1g.5gb"), 116),
        (sentinels.POWER_USAGE, gpu(0, GPU_I_ID="5", GPU_I_PROFILE="2g.10gb"), 116.2),
        (sentinels.POWER_USAGE, gpu(1), 60),
    )
    assert [(row.gpu, row.instance, row.profile) for row in rows] == [
        ("0", "5", "2g.10gb"),
        ("0", "13", "1g.5gb"),
        ("1", "", ""),
    ]
    node = node_from_gpus(rows, AT)
    assert (node.gpus_seen, node.power_watts) == (2, 176.2)


def test_rows_are_in_the_order_of_their_numbers() -> None:
    rows = rows_of(*((sentinels.GPU_UTIL, gpu(index), index) for index in (10, 2, 0)))
    assert [row.gpu for row in rows] == ["0", "2", "10"]


def test_a_sample_that_names_no_gpu_or_no_node_is_nobodys() -> None:
    rows = GpuRows(lambda labels: labels.get("Hostname", ""))
    rows.add(sentinels.GPU_UTIL, {"Hostname": "gpu-1"}, 5)
    rows.add(sentinels.GPU_UTIL, {"gpu": "0"}, 5)
    assert rows.by_node(AT) == {}


def test_the_old_names_of_labels_are_read() -> None:
    (row,) = rows_of(
        (sentinels.GPU_UTIL, {"gpu": "0", "uuid": "GPU-x", "pod_name": "job-1", "pod_namespace": "team"}, 1),
    )
    assert (row.uuid, row.held_by) == ("GPU-x", "team/job-1")


def test_the_holder_is_the_pod_that_prometheus_renamed() -> None:
    (row,) = rows_of(
        (
            sentinels.GPU_UTIL,
            gpu(
                0,
                pod="nvidia-dcgm-exporter-x1",
                namespace="gpu-operator",
                exported_pod="job-1",
                exported_namespace="a",
            ),
            1,
        ),
    )
    assert row.held_by == "a/job-1"


def test_an_idle_gpu_is_not_held_by_its_exporter() -> None:
    (row,) = rows_of((sentinels.GPU_UTIL, gpu(0, pod="nvidia-dcgm-exporter-x1", namespace="gpu-operator"), 1))
    assert row.held_by == ""


def test_an_empty_pod_is_nobody() -> None:
    (row,) = rows_of((sentinels.GPU_UTIL, gpu(0, pod="", namespace="", container=""), 1))
    assert row.held_by == ""


def test_escapes_in_labels_are_taken_out() -> None:
    (row,) = rows_of((sentinels.GPU_UTIL, gpu(0, modelName="\x1b[31mred\x07" + "x" * 40_000), 1))
    assert row.model.startswith("red xxx")
    assert len(row.model) <= 120


def test_a_node_sums_up_its_gpus() -> None:
    rows = (
        GpuTelemetry("0", "a", util=90, temp=60, power_watts=500, fb_used_mib=50, fb_total_mib=100, xid=0),
        GpuTelemetry("1", "b", util=10, temp=71, power_watts=100, fb_used_mib=0, fb_total_mib=100, xid=0),
    )
    node = node_from_gpus(rows, AT)
    assert (node.gpu_util, node.gpu_util_min, node.gpu_temp_max) == (50, 10, 71)
    assert (node.power_watts, node.fb_used_ratio, node.gpus_seen, node.xid) == (600, 0.25, 2, 0)
    assert node.row_remap_failure is None


def test_every_xid_is_summed_with_how_many_gpus_show_it_and_instances_of_one_gpu_are_one() -> None:
    shown = (("a", "", 79), ("a", "1", 79), ("b", "", 79), ("c", "", 48), ("d", "", 0), ("e", "", None))
    rows = [GpuTelemetry("0", uuid, instance=instance, xid=code) for uuid, instance, code in shown]
    assert node_from_gpus(rows, AT).xids == ((48, 1), (79, 2))
    assert node_from_gpus(rows[-2:], AT).xids == ()


def test_a_gpu_whose_xid_is_unreadable_keeps_the_nodes_unknown() -> None:
    assert node_from_gpus([GpuTelemetry("0", xid=0), GpuTelemetry("1")], AT).xid is None
    assert node_from_gpus([GpuTelemetry("0", xid=79), GpuTelemetry("1")], AT).xid == 79


def test_the_hardest_xid_of_a_node_is_shown() -> None:
    assert node_from_gpus([GpuTelemetry("0", xid=154), GpuTelemetry("1", xid=79)], AT).xid == 79


def test_the_oldest_sample_dates_the_node() -> None:
    old = AT - timedelta(minutes=4)
    assert node_from_gpus([GpuTelemetry("0", at=AT), GpuTelemetry("1", at=old)], AT).at == old


def test_a_node_without_rows_knows_nothing() -> None:
    node = node_from_gpus([], AT)
    assert (node.gpus_seen, node.gpu_util, node.xid, node.power_watts) == (0, None, None, None)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*sentinels.PLAUSIBLE, "DCGM_FI_DEV_OTHER"]),
            st.dictionaries(
                st.sampled_from(["gpu", "UUID", "GPU_I_ID", "pod", "modelName"]), st.text(max_size=5)
            ),
            st.floats(),
        )
    )
)
def test_whatever_comes_a_node_is_within_its_ranges(samples: list[tuple[str, dict[str, str], float]]) -> None:
    node = node_from_gpus(rows_of(*samples), AT)
    assert node.gpu_util is None or 0 <= node.gpu_util <= 100
    assert node.fb_used_ratio is None or 0 <= node.fb_used_ratio <= 1
    assert node.xid is None or 0 <= node.xid <= 9999


def test_the_fields_that_a_custom_list_exports_are_read() -> None:
    (row,) = rows_of(
        (sentinels.CLOCK_REASONS, gpu(0, DCGM_FI_DEV_VBIOS_VERSION="96.00.74"), 0x44),
        (sentinels.SM_ACTIVE, gpu(0), 0.5),
        (sentinels.ENGINE_ACTIVE, gpu(0), 0.9),
        (sentinels.TEMP_MARGIN, gpu(0), 14),
        (sentinels.ECC_SBE_VOLATILE, gpu(0), 1),
        (sentinels.ECC_SBE_AGGREGATE, gpu(0), 2),
        (sentinels.ECC_DBE_AGGREGATE, gpu(0), 3),
        (sentinels.ROW_REMAP_PENDING, gpu(0), 1),
        (sentinels.RETIRED_PENDING, gpu(0), 4),
        (sentinels.NVLINK_SENT, gpu(0), 1e9),
        (sentinels.NVLINK_RECEIVED, gpu(0), 2e9),
        (sentinels.NVLINK_FLIT_ERRORS, gpu(0), 5),
        (sentinels.NVLINK_REPLAYS, gpu(0), 6),
        (sentinels.PCIE_GEN, gpu(0), 5),
        (sentinels.PCIE_WIDTH, gpu(0), 8),
        (sentinels.PCIE_WIDTH_MAX, gpu(0), 16),
        (sentinels.RECOVERY_ACTION, gpu(0), 2),
        (sentinels.PERSISTENCE, gpu(0), 0),
    )
    assert (row.clock_event_reasons, row.vbios, row.sm_active, row.engine_active) == (
        0x44,
        "96.00.74",
        0.5,
        0.9,
    )
    assert (row.temp_margin, row.ecc_sbe_volatile, row.ecc_sbe_aggregate, row.ecc_dbe_aggregate) == (
        14,
        1,
        2,
        3,
    )
    assert (row.remap_pending, row.retired_pending, row.nvlink_bandwidth, row.nvlink_errors) == (
        True,
        4,
        3e9,
        11,
    )
    assert (row.pcie_gen, row.pcie_width, row.pcie_width_max, row.pcie_gen_max) == (5, 8, 16, None)
    assert (row.recovery_action, row.persistence) == (2, False)


def test_links_are_counted_by_whether_they_are_up() -> None:
    states = [(sentinels.NVLINK_STATE, gpu(0, nvlink=str(link)), float(link != 3)) for link in range(18)]
    (row,) = rows_of((sentinels.GPU_UTIL, gpu(0), 1), *states)
    assert (row.nvlinks_up, row.nvlinks_down) == (17, 1)


def test_links_named_by_the_gpus_uuid_alone_are_still_its_own() -> None:
    (row,) = rows_of(
        (sentinels.GPU_UTIL, gpu(0), 1),
        (sentinels.NVLINK_STATE, {"gpu": "0", "gpu_uuid": "GPU-0", "nvlink": "0"}, 0),
    )
    assert (row.nvlinks_up, row.nvlinks_down) == (0, 1)


def test_no_link_series_is_an_unknown_number_of_links() -> None:
    (row,) = rows_of((sentinels.GPU_UTIL, gpu(0), 1))
    assert (row.nvlinks_up, row.nvlinks_down, row.nvlink_errors, row.nvlink_bandwidth) == (None,) * 4


def test_a_blank_link_state_says_nothing() -> None:
    (row,) = rows_of(
        (sentinels.GPU_UTIL, gpu(0), 1), (sentinels.NVLINK_STATE, gpu(0, nvlink="0"), 2147483632)
    )
    assert row.nvlinks_up is None


def test_a_field_that_dcgm_renamed_is_read_by_either_name() -> None:
    for metric in ("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "DCGM_FI_DEV_CLOCKS_EVENT_REASONS"):
        (row,) = rows_of((metric, gpu(0), 8))
        assert row.clock_event_reasons == 8


def test_the_margin_is_reckoned_where_only_the_threshold_is_told() -> None:
    (row,) = rows_of((sentinels.GPU_TEMP, gpu(0), 61), (sentinels.TEMP_SLOWDOWN, gpu(0), 87))
    assert row.temp_margin == 26


def test_a_batch_job_holds_its_gpu() -> None:
    (row,) = rows_of((sentinels.GPU_UTIL, gpu(0, hpc_job="4711"), 0))
    assert row.held_by == "job 4711"


def test_a_node_has_the_range_of_its_utilisation_and_its_worst_margin() -> None:
    rows = (GpuTelemetry("0", util=20, temp_margin=30), GpuTelemetry("1", util=90, temp_margin=4))
    node = node_from_gpus(rows, AT)
    assert (node.gpu_util_min, node.gpu_util_max, node.temp_margin_min) == (20, 90, 4)


def seen_at(*samples: tuple[int, str, float, int]) -> tuple[GpuTelemetry, ...]:
    """Rows of samples of one UUID: (number, metric, value, seconds ago)."""
    rows = GpuRows(lambda labels: "gpu-1")
    for number, metric, value, ago in samples:
        rows.add(metric, {"gpu": str(number), "UUID": "GPU-a"}, value, AT - timedelta(seconds=ago))
    return rows.by_node(AT)["gpu-1"]


def test_a_gpu_is_its_uuid_and_has_the_number_it_was_seen_with_last() -> None:
    (row,) = seen_at((3, sentinels.XID_ERRORS, 79, 20), (0, sentinels.XID_ERRORS, 0, 5))
    assert (row.gpu, row.xid, row.at) == ("0", 79, AT - timedelta(seconds=20))


def test_a_series_that_ended_under_another_number_is_left_out() -> None:
    (row,) = seen_at((3, sentinels.GPU_UTIL, 100, 61), (0, sentinels.GPU_UTIL, 2, 1))
    assert (row.gpu, row.util, row.at) == ("0", 2, AT - timedelta(seconds=1))


def test_gpus_of_one_moment_are_apart_though_their_exporter_calls_them_alike() -> None:
    rows = seen_at((0, sentinels.GPU_UTIL, 10, 5), (1, sentinels.GPU_UTIL, 20, 5))
    assert [(row.gpu, row.util) for row in rows] == [("0", 10), ("1", 20)]


def test_a_number_is_read_however_its_label_is_written() -> None:
    rows = GpuRows(lambda labels: "gpu-1")
    rows.add(sentinels.GPU_UTIL, {"gpu": "3", "UUID": "GPU-a"}, 10)
    rows.add(sentinels.GPU_TEMP, {"GPU": "3", "uuid": "GPU-a"}, 50)
    (row,) = rows.by_node(AT)["gpu-1"]
    assert (row.gpu, row.uuid, row.util, row.temp) == ("3", "GPU-a", 10, 50)


def numbered(*samples: tuple[int, str, float, int]) -> tuple[GpuTelemetry, ...]:
    """Rows of samples of one node: (number, UUID, utilisation, seconds ago)."""
    rows = GpuRows(lambda labels: "gpu-1")
    for number, uuid, util, ago in samples:
        labels = {"gpu": str(number), "UUID": uuid}
        rows.add(sentinels.GPU_UTIL, labels, util, AT - timedelta(seconds=ago))
    return rows.by_node(AT)["gpu-1"]


def test_a_number_that_another_gpu_has_by_now_is_counted_once() -> None:
    rows = numbered((0, "GPU-a", 100, 5), (1, "GPU-old", 50, 61), (1, "GPU-new", 2, 1))
    assert [(row.gpu, row.uuid, row.util) for row in rows] == [("0", "GPU-a", 100), ("1", "GPU-new", 2)]
    node = node_from_gpus(rows, AT)
    assert (node.gpus_seen, node.at) == (2, AT - timedelta(seconds=5))


def test_gpus_that_swapped_their_numbers_are_two_though_both_of_their_series_still_stand() -> None:
    rows = numbered((0, "GPU-a", 9, 70), (1, "GPU-b", 8, 70), (1, "GPU-a", 1, 2), (0, "GPU-b", 3, 2))
    assert [(row.gpu, row.uuid, row.util) for row in rows] == [("0", "GPU-b", 3), ("1", "GPU-a", 1)]
    assert node_from_gpus(rows, AT).at == AT - timedelta(seconds=2)


def test_two_gpus_that_lately_shared_a_number_are_both_there() -> None:
    rows = numbered((1, "GPU-a", 50, 20), (1, "GPU-b", 2, 1))
    assert {row.uuid for row in rows} == {"GPU-a", "GPU-b"}


def test_an_instance_that_fell_silent_is_not_left_out_for_its_siblings() -> None:
    rows = GpuRows(lambda labels: "gpu-1")
    for instance, ago in (("1", 90), ("2", 1)):
        labels = {"gpu": "0", "UUID": "GPU-a", "GPU_I_ID": instance}
        rows.add(sentinels.FB_USED, labels, 10, AT - timedelta(seconds=ago))
    assert [row.instance for row in rows.by_node(AT)["gpu-1"]] == ["1", "2"]


def test_what_brings_no_time_of_its_own_is_of_now_and_newer_than_what_brings_an_old_one() -> None:
    rows = GpuRows(lambda labels: "gpu-1")
    rows.add(sentinels.GPU_UTIL, {"gpu": "3", "UUID": "GPU-a"}, 90, AT - timedelta(seconds=100))
    rows.add(sentinels.GPU_UTIL, {"gpu": "0", "UUID": "GPU-a"}, 4)
    (row,) = rows.by_node(AT)["gpu-1"]
    assert (row.gpu, row.util, row.at) == ("0", 4, AT)


def test_a_nodes_xid_is_not_told_to_be_old_where_another_gpu_shows_as_hard_a_one_since_later() -> None:
    old, new = AT - timedelta(hours=5), AT - timedelta(minutes=1)

    def since(other: int, at: datetime | None) -> datetime | None:
        rows = [GpuTelemetry("0", xid=79, xid_at=old), GpuTelemetry("1", xid=other, xid_at=at)]
        summed = node_from_gpus(rows, AT)
        assert summed.xid == 79
        return summed.xid_at

    assert since(48, new) is None
    assert since(48, None) is None
    assert since(48, old - timedelta(hours=1)) == old
    assert since(31, new) == old
    assert since(0, None) == old
