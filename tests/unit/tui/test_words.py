"""Fleet values as lines for a terminal without a dashboard."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fleet.health import Finding, GateRecord, Verdict
from fleet.holder import Hold
from fleet.node import Admission
from fleet.plan import Radius, Verb
from fleet.policy import Policy
from fleet.workload import WorkloadId
from tests.builders import NOW, node, plan, row, telemetry
from tui.headless.shapes import verdict_shape
from tui.headless.words import NODE_HEAD, node_words, of_node, plan_lines, verdict_lines


@pytest.mark.parametrize("says", ["somebody opened it", "gpu-1: somebody opened it"])
def test_a_nodes_name_is_said_once(says: str) -> None:
    assert of_node("gpu-1", says) == "gpu-1: somebody opened it"


def test_the_cost_of_a_plan_names_the_categories_and_counts_in_words() -> None:
    radius = Radius(
        nodes=1,
        workloads=(WorkloadId("ml", "Job", "pretrain"),),
        pods=1,
        gpus=8,
        capacity_left=(208, 216),
        categories=("h100",),
        gangs=("ml/pretrain also runs on 3 other nodes, which may stall",),
    )
    said = plan_lines(plan(radius=radius))
    assert "  cost: 1 pod of 1 workload move, 8 GPUs" in said
    assert "  cost: GPUs usable in h100 after it: 208 of 216" in said
    assert "  gang: ml/pretrain also runs on 3 other nodes, which may stall" in said


def test_the_pace_of_a_plan_and_its_doubts_are_told() -> None:
    said = plan_lines(replace(plan(), waves=6, at_once=2, warnings=("lab does not tell",)))
    assert "  pace: 6 waves of 2" in said
    assert "  note: lab does not tell" in said


def test_a_cordon_that_moves_nothing_says_nothing_of_pods() -> None:
    assert "pod" not in "\n".join(plan_lines(plan(Verb.CORDON)))


def test_a_node_is_listed_with_what_is_worst_about_it_and_no_xid_is_none() -> None:
    hot = dict(zip(NODE_HEAD, node_words(row(shows=telemetry(temp=93.0)), NOW, Policy()), strict=True))
    assert (hot["NOW"], hot["XID"]) == ("GPU at 93 °C", "none")
    assert dict(zip(NODE_HEAD, node_words(row(), NOW, Policy()), strict=True))["XID"] == "?"


def test_a_holds_long_reason_does_not_push_the_table_apart() -> None:
    held = Hold("oncall", "the deadline passed, it stays closed; left: " + "team/web-0, " * 40)
    told = node_words(row(of=node(admission=Admission.CORDONED, holds=(held,))), NOW, Policy())
    assert max(len(cell) for cell in told) == 100
    assert "oncall: the deadline passed" in told[-1]


def test_what_a_check_printed_last_is_told_under_it_unless_it_passed_and_the_past_names_also_that_one() -> (
    None
):
    findings = (
        Finding("ready", Verdict.PASS),
        Finding("dcgm-diag", Verdict.FAIL, "memory: Fail on GPU 3", clears="a reset", tail=("GPU 3", "done")),
        Finding("nccl-allreduce", Verdict.PASS, "478 GB/s", tail=("# Avg bus bandwidth : 478",)),
        Finding("site-burn", Verdict.UNKNOWN, "it broke off", tail=("pass 3 of 9",)),
    )
    record = GateRecord(Verdict.FAIL, findings, NOW)
    failed = [
        "gpu-1: FAIL",
        "  dcgm-diag FAIL: memory: Fail on GPU 3",
        "    would be cleared by: a reset",
        "    | GPU 3",
        "    | done",
    ]
    broke_off = ["  site-burn UNKNOWN: it broke off", "    | pass 3 of 9"]
    assert verdict_lines("gpu-1", record) == [*failed, *broke_off]
    assert verdict_lines("gpu-1", record, runs=True) == [
        *failed,
        "  nccl-allreduce PASS: 478 GB/s",
        *broke_off,
    ]
    told = [finding["last_lines"] for finding in verdict_shape(record)["findings"]]
    assert told == [[], ["GPU 3", "done"], ["# Avg bus bandwidth : 478"], ["pass 3 of 9"]]


def test_a_verdict_is_told_with_each_finding_that_did_not_pass() -> None:
    findings = (
        Finding("ready", Verdict.PASS),
        Finding("telemetry", Verdict.UNKNOWN, "none", "8 GPUs", "dcgm", clears="the exporter reporting"),
        Finding("xid", Verdict.FAIL, "XID 79", "none", "dcgm", NOW - timedelta(seconds=9)),
    )
    assert verdict_lines("gpu-1", GateRecord(Verdict.FAIL, findings, NOW)) == [
        "gpu-1: FAIL",
        "  telemetry UNKNOWN: none, wants 8 GPUs (dcgm, age unknown)",
        "    would be cleared by: the exporter reporting",
        "  xid FAIL: XID 79, wants none (dcgm, 9 s old)",
    ]


def test_a_line_keeps_its_indent_whatever_letters_stand_in_it() -> None:
    findings = (
        Finding(
            "temperature", Verdict.FAIL, "93 °C", "below 90 °C", "dcgm", NOW, clears="80 °C", tail=("93 °C",)
        ),
    )
    said = verdict_lines("gpu-1", GateRecord(Verdict.FAIL, findings, NOW))
    assert said[1:] == [
        "  temperature FAIL: 93 °C, wants below 90 °C (dcgm, 0 s old)",
        "    would be cleared by: 80 °C",
        "    | 93 °C",
    ]
    assert "  note: Straße\u2026" in plan_lines(replace(plan(), warnings=("\x1b[2JStraße\u2026",)))
