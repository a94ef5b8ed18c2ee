"""What is wrong with a node, worst first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given

from fleet.category import Category, CheckPolicy
from fleet.health import Finding, GateRecord, Verdict
from fleet.holder import Hold
from fleet.node import Admission, Condition, Image, Node, NodeKey, Readiness, Stage
from fleet.policy import Policy
from fleet.row import row_of
from fleet.severity import Severity, concerns, severity_at
from fleet.telemetry import Alert, NodeTelemetry
from tests.unit.fleet_strategies import START, nodes, telemetry

KEY = NodeKey("prod", "gpu-1")
HEALTHY = Node(KEY, category="h100", readiness=Readiness.READY, gpus_capacity=8, gpus_allocatable=8)
COOL = NodeTelemetry(START, gpus_seen=8, xid=0)
POLICY = Policy(categories={"h100": Category("h100", expected_gpus=8)})


def worst(
    node: Node, seen: NodeTelemetry | None = COOL, after: timedelta = timedelta()
) -> tuple[Severity, str]:
    found = concerns(row_of(node, None, seen, POLICY), START + after, POLICY)
    return (found[0].severity, found[0].text) if found else (Severity.OK, "")


def test_an_alert_of_the_site_is_a_notice_at_its_node() -> None:
    alerts = (Alert("GpuHot", "warning", START), Alert("Odd"))
    row = row_of(HEALTHY, None, COOL, POLICY, alerts=alerts)
    assert row.severity is Severity.NOTICE
    assert [(found.about, found.text) for found in concerns(row, START, POLICY)] == [
        ("alert", "alert GpuHot (warning) since 03-01 03:00 UTC"),
        ("alert", "alert Odd"),
    ]


def test_nothing_is_wrong_with_a_healthy_node() -> None:
    assert worst(HEALTHY) == (Severity.OK, "")


@pytest.mark.parametrize(
    ("fields", "severity", "text"),
    [
        (
            {"stage": Stage.QUARANTINED, "holds": (Hold("node-doctor", "XID 79"),)},
            Severity.FAULT,
            "quarantined by node-doctor: XID 79",
        ),
        ({"readiness": Readiness.NOT_READY}, Severity.FAULT, "not ready"),
        ({"readiness": Readiness.UNKNOWN}, Severity.FAULT, "not heard of"),
        (
            {
                "gate": GateRecord(
                    Verdict.FAIL, (Finding("xid", Verdict.FAIL), Finding("ready", Verdict.PASS))
                )
            },
            Severity.FAULT,
            "gate FAIL: xid",
        ),
        ({"gate": GateRecord(Verdict.UNKNOWN)}, Severity.SUSPECT, "gate UNKNOWN"),
        ({"gpus_allocatable": 7}, Severity.SUSPECT, "7 of 8 GPUs advertised"),
        ({"gpus_allocatable": None, "gpus_capacity": None}, Severity.SUSPECT, "no GPUs advertised of 8"),
        (
            {"conditions": (Condition("DiskPressure", "True", bad=True, reason="Full"),)},
            Severity.SUSPECT,
            "DiskPressure: Full",
        ),
        ({"deleting": True}, Severity.SUSPECT, "being deleted"),
        ({"admission": Admission.CORDONED}, Severity.CLOSED, "cordoned"),
        ({"stage": Stage.DRAINING}, Severity.CLOSED, "draining"),
        ({"stage": Stage.REIMAGING, "readiness": Readiness.UNKNOWN}, Severity.CLOSED, "reimaging"),
        ({"image": Image("v1", desired="v2")}, Severity.NOTICE, "runs v1, wants v2"),
        ({"image": Image(None, desired="v2")}, Severity.UNKNOWN, "image unknown, wants v2"),
        ({"label_stage": "drained"}, Severity.NOTICE, "labelled drained, is in-service"),
        ({"upgrade": "driver upgrade"}, Severity.NOTICE, "driver upgrade"),
    ],
)
def test_a_wrong_node_says_what_is_wrong(fields: dict[str, Any], severity: Severity, text: str) -> None:
    assert worst(replace(HEALTHY, **fields)) == (severity, text)


@pytest.mark.parametrize(
    ("seen", "severity", "text"),
    [
        (replace(COOL, xid=79), Severity.FAULT, "last XID 79, age unknown"),
        (replace(COOL, xid=79, xid_at=START), Severity.FAULT, "last XID 79"),
        (replace(COOL, xid=31), Severity.NOTICE, "last XID 31, age unknown"),
        (replace(COOL, row_remap_failure=True), Severity.FAULT, "row remapping failed"),
        (replace(COOL, gpus_seen=6), Severity.SUSPECT, "telemetry from 6 of 8 GPUs"),
        (replace(COOL, xid=None), Severity.OK, ""),
        (replace(COOL, gpu_temp_max=84.0), Severity.OK, ""),
        (replace(COOL, gpu_temp_max=85.0), Severity.NOTICE, "GPU at 85 °C"),
        (replace(COOL, gpu_temp_max=93.0), Severity.SUSPECT, "GPU at 93 °C"),
        (replace(COOL, gpu_temp_max=float("nan")), Severity.OK, ""),
        (None, Severity.UNKNOWN, "no telemetry"),
    ],
)
def test_telemetry_tells_of_faults_and_its_absence_is_unknown(
    seen: NodeTelemetry | None, severity: Severity, text: str
) -> None:
    assert worst(HEALTHY, seen) == (severity, text)


def test_a_gpu_is_too_hot_from_the_limit_that_its_categorys_gate_has() -> None:
    cool = Category("h100", expected_gpus=8, checks={"temperature": CheckPolicy(limit=70.0)})
    row = row_of(HEALTHY, None, replace(COOL, gpu_temp_max=71.0), Policy(categories={"h100": cool}))
    assert row.severity is Severity.SUSPECT


def test_an_xid_older_than_a_passed_gate_no_longer_counts_as_a_fault() -> None:
    passed = replace(HEALTHY, gate=GateRecord(Verdict.PASS, at=START + timedelta(hours=1)))
    assert worst(passed, replace(COOL, xid=79, xid_at=START))[0] is Severity.NOTICE
    assert worst(passed, replace(COOL, xid=79))[0] is Severity.FAULT


def test_telemetry_that_grew_old_is_unknown() -> None:
    assert worst(HEALTHY, after=timedelta(minutes=5)) == (Severity.UNKNOWN, "telemetry is 5m old")


def test_a_drain_past_its_deadline_is_stuck() -> None:
    draining = replace(HEALTHY, stage=Stage.DRAINING, holds=(Hold("oncall@desk", since=START),))
    assert worst(draining, after=timedelta(minutes=1))[0] is Severity.CLOSED
    assert worst(draining, after=timedelta(hours=3)) == (Severity.STUCK, "draining for 3h, deadline 60m")


def test_a_node_without_gpus_needs_no_telemetry() -> None:
    login = Node(KEY, category="login", readiness=Readiness.READY, gpus_capacity=0)
    assert worst(login, None) == (Severity.OK, "")


@given(nodes(), telemetry)
def test_concerns_come_worst_first_and_time_only_adds_to_them(node: Node, seen: NodeTelemetry | None) -> None:
    row = row_of(node, None, seen, POLICY)
    found = concerns(row, START + timedelta(days=1), POLICY)
    assert [concern.severity for concern in found] == sorted(
        (concern.severity for concern in found), reverse=True
    )
    assert set(concerns(row, None, POLICY)) <= set(found)
    worst_now = found[0].severity if found else Severity.OK
    assert severity_at(row, START + timedelta(days=1), POLICY) == worst_now >= row.severity
