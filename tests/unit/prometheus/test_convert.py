"""Rows become nodes and GPUs; what a row can't say stays unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backends.prometheus.answers import Row
from backends.prometheus.convert import alerts_of, gpus_of, left_over, nodes_of, shape_of
from backends.prometheus.queries import PRESENCE, XID, Shape
from fleet.joining import NodeNames
from fleet.node import NodeKey
from fleet.policy import Policy
from fleet.sentinels import FB_USED, GPU_TEMP, GPU_UTIL
from fleet.telemetry import Alert
from fleet.xid import Severity

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
THEIRS = 5_000.0  # Prometheus' clock, far from ours
SHAPE = Shape(("Hostname",))
KNOWN = NodeNames([NodeKey("lab", "gpu-1"), NodeKey("lab", "gpu-2")])


def row(value: object, host: str = "gpu-1", **labels: str) -> Row:
    return Row({"Hostname": host, **labels}, (THEIRS, str(value)))


def test_a_reading_is_as_old_as_prometheus_says_on_its_own_clock() -> None:
    (node,) = nodes_of({"at": [row(THEIRS - 20)]}, SHAPE, KNOWN, NOW).values()
    assert node.at == NOW - timedelta(seconds=20)
    (early,) = nodes_of({"at": [row(THEIRS + 20)]}, SHAPE, KNOWN, NOW).values()
    assert early.at == NOW


def test_fields_are_filled_from_their_queries() -> None:
    answers = {
        "at": [row(THEIRS)],
        "gpus_seen": [row(8)],
        "gpu_util": [row(97.5)],
        "gpu_util_min": [row(90)],
        "gpu_temp_max": [row(71)],
        "fb_used_ratio": [row(0.5)],
        "power_watts": [row(5000)],
        "row_remap_failure": [row(1)],
        "xid": [row(7, **{XID: "0"}), row(1, **{XID: "79"})],
    }
    node = nodes_of(answers, SHAPE, KNOWN, NOW)["gpu-1"]
    assert (node.gpus_seen, node.gpu_util, node.gpu_util_min, node.gpu_temp_max) == (8, 97.5, 90, 71)
    assert (node.fb_used_ratio, node.power_watts, node.row_remap_failure, node.xid) == (0.5, 5000, True, 79)


def test_what_has_no_row_is_unknown() -> None:
    node = nodes_of({"at": [row(THEIRS)], "gpu_util": [row("NaN")]}, SHAPE, KNOWN, NOW)["gpu-1"]
    assert (node.gpu_util, node.gpus_seen, node.xid, node.row_remap_failure) == (None,) * 4


def test_a_node_whose_age_nobody_knows_is_left_out() -> None:
    assert nodes_of({"gpu_util": [row(5)], "at": [row("+Inf")]}, SHAPE, KNOWN, NOW) == {}


def test_a_time_before_all_times_is_the_first() -> None:
    first = NOW - timedelta(seconds=THEIRS)
    (node,) = nodes_of({"at": [row(-1e300)]}, SHAPE, KNOWN, NOW).values()
    assert node.at == first
    labels = {"gpu": "0", "UUID": "GPU-0"}
    told = row(50, __name__=GPU_TEMP, **labels)
    ((gpu,),) = gpus_of([told], [row(-1e300, **labels)], SHAPE, KNOWN, NOW).values()
    assert gpu.at == first


def test_the_xid_is_zero_only_where_every_gpu_says_so() -> None:
    answers = {"at": [row(THEIRS)], "gpus_seen": [row(8)], "xid": [row(8, **{XID: "0"})]}
    assert nodes_of(answers, SHAPE, KNOWN, NOW)["gpu-1"].xid == 0
    answers["xid"] = [row(7, **{XID: "0"})]
    assert nodes_of(answers, SHAPE, KNOWN, NOW)["gpu-1"].xid is None
    answers["xid"] = [row(1, **{XID: "not a number"}), row(1, **{XID: "inf"})]
    assert nodes_of(answers, SHAPE, KNOWN, NOW)["gpu-1"].xid is None


def test_two_rows_of_one_node_come_together() -> None:
    shape = Shape(("Hostname", "instance"))
    answers = {
        "at": [row(THEIRS - 5, instance="a:1"), row(THEIRS - 30, instance="a:2")],
        "gpu_util": [row(10, instance="a:1"), row(30, instance="a:2")],
        "gpu_temp_max": [row(50, instance="a:1"), row(70, instance="a:2")],
    }
    node = nodes_of(answers, shape, KNOWN, NOW)["gpu-1"]
    assert (node.gpu_util, node.gpu_temp_max, node.at) == (20, 70, NOW - timedelta(seconds=30))


def test_the_shape_is_what_joins_and_what_sees_every_gpu() -> None:
    rows = [Row({"__name__": FB_USED, "Hostname": "gpu-1", "instance": "10.0.0.1:9400"}, (0, "8"))]
    assert shape_of(rows, KNOWN) == Shape(("Hostname",), (FB_USED,))
    other = Row({"__name__": GPU_UTIL, "Hostname": "gpu-2", "instance": "10.0.0.2:9400"}, (0, "8"))
    assert shape_of([*rows, other], KNOWN) == Shape(("Hostname",), PRESENCE)
    assert shape_of([], KNOWN).labels == ()


def test_what_joins_nothing_is_told_apart_by_its_labels_and_number() -> None:
    rows = [row(8), row(8, "stranger"), Row({}, (0, "4"))]
    assert left_over(rows, SHAPE, KNOWN) == {(("stranger",), "8"), ((None,), "4")}
    assert left_over(rows, SHAPE, NodeNames([])) == {((None,), "4")}


def test_rows_of_gpus_carry_the_time_of_their_own_samples() -> None:
    one, two = {"gpu": "0", "UUID": "a"}, {"gpu": "1", "UUID": "b"}
    raw = [
        row(97, __name__=GPU_UTIL, **one),
        row(60, __name__=GPU_TEMP, **one),
        row("NaN", __name__=GPU_UTIL, **two),
        row("garbage", __name__=GPU_TEMP, **two),
    ]
    first, second = gpus_of(raw, [row(THEIRS - 9, **one)], SHAPE, KNOWN, NOW)["gpu-1"]
    assert (first.util, first.temp, first.at) == (97, 60, NOW - timedelta(seconds=9))
    assert (second.util, second.temp, second.at) == (None, None, None)


def alert(value: float, name: str = "Hot", **labels: str) -> Row:
    return Row({"alertname": name, "severity": "warning", **labels}, (1.8e9, str(value)))


def test_an_alert_is_at_the_node_that_any_of_its_labels_names() -> None:
    found = alerts_of(
        [
            alert(1.7e9, Hostname="localhost", node="gpu-1"),
            alert(1.7e9, "Down", instance="gpu-2.example.com:9400"),
            alert(1.7e9, "Watchdog"),
            alert(1.7e9, "Elsewhere", node="gpu-9"),
            alert(1.7e9, "", node="gpu-1"),
        ],
        KNOWN,
    )
    began = datetime.fromtimestamp(1.7e9, UTC)
    assert found == {
        "gpu-1": (Alert("Hot", "warning", began),),
        "gpu-2": (Alert("Down", "warning", began),),
    }


def test_an_alert_that_does_not_say_when_it_began_has_no_age() -> None:
    rows = [
        alert(value, f"A{place}", node="gpu-1") for place, value in enumerate((1, 0, 1.9e9, float("nan")))
    ]
    assert [found.since for found in alerts_of(rows, KNOWN)["gpu-1"]] == [None] * 4


def test_the_same_alert_of_two_prometheus_is_one_and_endless_ones_are_cut() -> None:
    twice = alerts_of([alert(1.7e9, node="gpu-1"), alert(1.7e9, node="gpu-1", replica="b")], KNOWN)
    assert len(twice["gpu-1"]) == 1
    many = alerts_of(
        [alert(1.7e9, f"A{place:04}\x1b[31m" + "x" * 500, node="gpu-1") for place in range(100)], KNOWN
    )
    assert len(many["gpu-1"]) == 20
    assert not any("\x1b" in found.name or len(found.name) > 120 for found in many["gpu-1"])


def test_the_xid_of_a_node_is_the_one_its_site_takes_hardest() -> None:
    answers = {"at": [row(THEIRS)], "xid": [row(1, **{XID: "13"}), row(1, **{XID: "79"})]}
    site = Policy(xid_severity={13: Severity.FAIL, 79: Severity.INFO})
    (default,) = nodes_of(answers, SHAPE, KNOWN, NOW).values()
    (ruled,) = nodes_of(answers, SHAPE, KNOWN, NOW, site.severity_of_xid).values()
    assert (default.xid, ruled.xid) == (79, 13)
