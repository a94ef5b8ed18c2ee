"""The gate's checks: what passes, what fails, what can't be told, and what lifts a quarantine."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.category import Category, CheckPolicy
from fleet.check_catalogue import CATALOGUE, EVIDENCE
from fleet.checks import FROM_FACTS, Scene
from fleet.gate import GateChecker, check_all
from fleet.gate_checks import CHECKS
from fleet.gpu_rows import node_from_gpus
from fleet.health import Finding, GateRecord, Verdict, verdict_of
from fleet.holder import Hold, HolderKind
from fleet.node import Condition, Image, Node, NodeKey, Readiness, Software, Stage
from fleet.plan import NodeFacts
from fleet.policy import Policy
from fleet.telemetry import GpuTelemetry, NodeTelemetry
from fleet.telemetry_feed import Readings
from fleet.xid import Severity as XidSeverity
from tests.clocks import START, ManualClock

H100 = Category("h100", desired_image="v2", expected_gpus=2, driver="560.35")
READY = Condition("Ready", "True", bad=False, since=START - timedelta(hours=1))
GPU = GpuTelemetry(
    "0",
    "GPU-a",
    driver="560.35.03",
    util=5,
    temp=40,
    power_watts=90,
    fb_used_mib=1,
    xid=0,
    row_remap_failure=False,
    at=START,
)
NODE = Node(
    NodeKey("lab", "gpu-1"),
    category="h100",
    image=Image("v2", "label", "v2"),
    stage=Stage.GATED,
    readiness=Readiness.READY,
    conditions=(READY, Condition("MemoryPressure", "False", bad=False)),
    gpus_capacity=2,
    gpus_allocatable=2,
    boot_id="boot-1",
    software=Software(driver="560.35.03", cuda="12.6"),
)
TELLS_ALL: dict[str, Any] = {
    "vbios": "96.00.5E.00.01",
    "temp_margin": 40,
    "clock_event_reasons": 0x5,
    "ecc_dbe_volatile": 0,
    "ecc_sbe_volatile": 3,
    "remap_pending": False,
    "remapped_uncorrectable": 0,
    "retired_pending": 0,
    "nvlinks_up": 18,
    "nvlinks_down": 0,
    "nvlink_errors": 0,
    "pcie_width": 16,
    "pcie_width_max": 16,
    "pcie_gen": 5,
    "pcie_replays": 0,
    "recovery_action": 0,
    "persistence": True,
}
FAULT = GateRecord(
    Verdict.FAIL,
    (Finding("xid", Verdict.FAIL, "XID 79"),),
    START - timedelta(minutes=30),
    "oncall",
    "d",
    "boot-1",
)


def gpus(**second: Any) -> tuple[GpuTelemetry, ...]:
    return GPU, replace(GPU, gpu="1", uuid="GPU-b", **second)


def scene(
    node: Node = NODE,
    rows: tuple[GpuTelemetry, ...] | None = None,
    category: Category = H100,
    readings: Readings | None = None,
) -> Scene:
    rows = gpus() if rows is None else rows
    read = readings or Readings(node_from_gpus(rows, START) if rows else None, rows, "prometheus")
    return Scene(NodeFacts(node), category, Policy(), read, START)


def found(check: str, **of: Any) -> Finding:
    (finding,) = [finding for finding in check_all(scene(**of)) if finding.check == check]
    return finding


def with_checks(**checks: CheckPolicy) -> Category:
    return replace(H100, checks={name.replace("_", "-"): policy for name, policy in checks.items()})


def test_a_healthy_node_passes_every_passive_check() -> None:
    healthy = tuple(replace(gpu, **TELLS_ALL) for gpu in gpus())
    limits = with_checks(pcie_gen=CheckPolicy(limit=5), pcie_replays=CheckPolicy(limit=5))
    category = replace(limits, vbios="96.00.5E.00.01", cuda="12.6")
    node = replace(NODE, conditions=(*NODE.conditions, Condition("HealthCheck", "Passed", bad=False)))
    findings = check_all(scene(node=node, rows=healthy, category=category))
    run_on_the_node = {name for name, spec in CATALOGUE.items() if spec.active}
    not_told_here = {"gpu-operator", EVIDENCE, *run_on_the_node}
    assert {finding.check: finding.verdict for finding in findings} == dict.fromkeys(
        (name for name in CHECKS if name not in not_told_here), Verdict.PASS
    )
    assert verdict_of(findings) is Verdict.PASS
    assert all(finding.source and finding.at == START and finding.value for finding in findings)
    assert not any(finding.clears for finding in findings)


def test_what_a_default_exporter_tells_is_enough() -> None:
    findings = check_all(scene())
    unknown = {finding.check for finding in findings if finding.verdict is Verdict.UNKNOWN}
    assert unknown >= {"ecc-dbe", "clock-events", "nvlink", "recovery-action"}
    assert verdict_of(findings) is Verdict.PASS


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"readiness": Readiness.NOT_READY}, Verdict.FAIL),
        ({"readiness": Readiness.UNKNOWN}, Verdict.UNKNOWN),
        ({"deleting": True}, Verdict.FAIL),
    ],
)
def test_a_node_that_is_not_ready_does_not_pass(changes: dict[str, Any], verdict: Verdict) -> None:
    assert found("ready", node=replace(NODE, **changes)).verdict is verdict


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [
        (Condition("DiskPressure", "True", bad=True, reason="KubeletHasDiskPressure"), Verdict.FAIL),
        (Condition("DiskPressure", "Unknown", bad=None), Verdict.UNKNOWN),
        (Condition("SomethingOfOurSite", "True", bad=None), Verdict.PASS),
    ],
)
def test_a_condition_counts_by_its_polarity(condition: Condition, verdict: Verdict) -> None:
    finding = found("conditions", node=replace(NODE, conditions=(READY, condition)))
    assert finding.verdict is verdict
    assert verdict is Verdict.PASS or "DiskPressure" in finding.value


@pytest.mark.parametrize(
    ("changes", "category", "verdict"),
    [
        ({"gpus_allocatable": 1}, H100, Verdict.FAIL),
        ({"gpus_allocatable": 3}, H100, Verdict.FAIL),
        ({"gpus_allocatable": 0}, H100, Verdict.FAIL),
        ({"gpus_allocatable": None}, H100, Verdict.UNKNOWN),
        ({}, Category("h100"), Verdict.PASS),
        ({"gpus_allocatable": 1}, Category("h100"), Verdict.FAIL),
        ({"gpus_capacity": None, "gpus_allocatable": None}, Category("h100"), Verdict.UNKNOWN),
        ({"gpus_capacity": 0, "gpus_allocatable": 0}, Category("h100"), Verdict.UNKNOWN),
        ({"gpus_capacity": None, "gpus_allocatable": None}, Category("cpu", expected_gpus=0), Verdict.PASS),
    ],
)
def test_gpus_advertised_are_those_expected(
    changes: dict[str, Any], category: Category, verdict: Verdict
) -> None:
    assert found("gpus", node=replace(NODE, **changes), category=category).verdict is verdict


def test_slices_are_counted_by_telemetry() -> None:
    finding = found("gpus", node=replace(NODE, gpus_allocatable=0, mig_allocatable=14))
    assert (finding.verdict, finding.needed) == (Verdict.UNKNOWN, False)


@pytest.mark.parametrize(
    ("image", "category", "verdict"),
    [
        (Image("v1", "label", "v2"), H100, Verdict.FAIL),
        (Image(None, "", "v2"), H100, Verdict.UNKNOWN),
        (Image("v2"), H100, Verdict.PASS),
        (Image("v1"), H100, Verdict.FAIL),
        (Image("v1"), Category("h100", expected_gpus=2), Verdict.PASS),
    ],
)
def test_the_running_image_is_the_desired_one(image: Image, category: Category, verdict: Verdict) -> None:
    assert found("image", node=replace(NODE, image=image), category=category).verdict is verdict


@pytest.mark.parametrize(
    ("running", "declared", "verdict"),
    [
        ("560.35", "560.35", Verdict.PASS),
        ("560.35.03", "560.35", Verdict.PASS),
        ("560.350", "560.35", Verdict.FAIL),
        ("550.90", "560.35", Verdict.FAIL),
    ],
)
def test_the_driver_is_the_categorys(running: str, declared: str, verdict: Verdict) -> None:
    node = replace(NODE, software=Software(driver=running))
    assert found("driver", node=node, category=replace(H100, driver=declared)).verdict is verdict


def test_a_driver_that_the_node_does_not_tell_is_read_from_its_gpus() -> None:
    node = replace(NODE, software=Software())
    assert found("driver", node=node).verdict is Verdict.PASS
    assert found("driver", node=node, rows=gpus(driver="550.90")).verdict is Verdict.FAIL
    assert found("driver", node=node, rows=()).verdict is Verdict.UNKNOWN


def test_a_driver_that_nobody_declared_is_not_checked_and_said() -> None:
    finding = found("driver", category=replace(H100, driver=None))
    assert (finding.verdict, finding.value, finding.threshold) == (
        Verdict.PASS,
        "560.35.03",
        "no driver declared",
    )


@pytest.mark.parametrize(
    ("rows", "value"),
    [
        ((GPU,), "1 GPU reporting"),
        (gpus(at=START - timedelta(minutes=3)), "1 GPU reporting"),
        (gpus(at=None), "1 GPU reporting"),
        (gpus(util=None, temp=None, power_watts=None, fb_used_mib=None), "1 GPU reporting"),
        ((), "none"),
        ((*gpus(), replace(GPU, gpu="2", uuid="GPU-c")), "3 GPUs reporting"),
    ],
)
def test_a_gpu_that_is_silent_or_surplus_is_unknown(rows: tuple[GpuTelemetry, ...], value: str) -> None:
    finding = found("telemetry", rows=rows)
    assert (finding.verdict, finding.value) == (Verdict.UNKNOWN, value)


def test_what_was_measured_before_the_node_became_ready_is_not_about_this_boot() -> None:
    booted = replace(READY, since=START - timedelta(seconds=5))
    rows = tuple(replace(gpu, at=START - timedelta(seconds=20)) for gpu in gpus())
    assert found("telemetry", rows=rows).verdict is Verdict.PASS
    assert found("telemetry", rows=rows, node=replace(NODE, conditions=(booted,))).verdict is Verdict.UNKNOWN


def test_a_ready_time_of_a_clock_that_runs_ahead_is_not_compared() -> None:
    ahead = replace(READY, since=START + timedelta(hours=2))
    assert found("telemetry", node=replace(NODE, conditions=(ahead,))).verdict is Verdict.PASS


def test_every_slice_of_a_gpu_must_be_fresh() -> None:
    slices = tuple(replace(GPU, instance=str(number)) for number in (1, 2))
    other = replace(GPU, gpu="1", uuid="GPU-b")
    assert found("telemetry", rows=(*slices, other)).verdict is Verdict.PASS
    old = replace(slices[1], at=START - timedelta(hours=1))
    assert found("telemetry", rows=(slices[0], old, other)).verdict is Verdict.UNKNOWN


def test_a_forbidden_xid_fails_and_says_where_and_what_clears_it() -> None:
    finding = found("xid", rows=gpus(xid=79))
    assert finding.verdict is Verdict.FAIL
    assert finding.value == "XID 79 (RC_GPU_HAS_FALLEN_OFF_THE_BUS) on GPU 1, age unknown"
    assert finding.clears.startswith("restart the machine")


def test_a_forbidden_xid_fails_however_old_or_hidden_it_is() -> None:
    assert found("xid", rows=gpus(xid=79, at=START - timedelta(hours=1))).verdict is Verdict.FAIL
    assert found("xid", rows=gpus(xid=79, at=None)).verdict is Verdict.FAIL
    assert (
        found("xid", rows=(replace(GPU, xid=154), replace(GPU, gpu="1", uuid="GPU-b", xid=79))).verdict
        is Verdict.FAIL
    )
    summed = Readings(NodeTelemetry(START, xid=79), (), "prometheus")
    assert found("xid", readings=summed).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("code", "verdict"), [(13, Verdict.WARN), (154, Verdict.WARN), (43, Verdict.PASS), (999, Verdict.WARN)]
)
def test_another_xid_is_shown(code: int, verdict: Verdict) -> None:
    finding = found("xid", rows=gpus(xid=code))
    assert finding.verdict is verdict
    assert f"XID {code}" in finding.value


@pytest.mark.parametrize(
    ("severity", "verdict"),
    [(XidSeverity.INFO, Verdict.PASS), (XidSeverity.WARN, Verdict.WARN), (XidSeverity.FAIL, Verdict.FAIL)],
)
@pytest.mark.parametrize("code", [13, 43, 79])
def test_the_site_says_what_an_xid_does_at_a_gate(code: int, severity: XidSeverity, verdict: Verdict) -> None:
    ruled = replace(scene(rows=gpus(xid=code)), policy=Policy(xid_severity={code: severity}))
    (finding,) = [finding for finding in check_all(ruled) if finding.check == "xid"]
    assert finding.verdict is verdict


@pytest.mark.parametrize(
    "rows",
    [
        (GPU,),
        (),
        gpus(xid=None),
        gpus(at=START - timedelta(minutes=3)),
    ],
)
def test_an_xid_that_is_not_read_of_every_gpu_is_unknown(rows: tuple[GpuTelemetry, ...]) -> None:
    assert found("xid", rows=rows).verdict is Verdict.UNKNOWN


def test_a_failed_row_remap_fails_and_an_unexported_one_is_not_needed() -> None:
    assert found("row-remap", rows=gpus(row_remap_failure=True)).verdict is Verdict.FAIL
    unexported = found("row-remap", rows=gpus(row_remap_failure=None))
    assert (unexported.verdict, unexported.needed) == (Verdict.UNKNOWN, False)
    needed = found(
        "row-remap", rows=gpus(row_remap_failure=None), category=with_checks(row_remap=CheckPolicy())
    )
    assert needed.needed


def test_a_hot_gpu_warns_at_the_categorys_limit() -> None:
    assert found("temperature", rows=gpus(temp=89)).verdict is Verdict.PASS
    assert found("temperature", rows=gpus(temp=90)).verdict is Verdict.WARN
    cool = with_checks(temperature=CheckPolicy(limit=60))
    finding = found("temperature", rows=gpus(temp=61), category=cool)
    assert (finding.verdict, finding.threshold, finding.value) == (
        Verdict.WARN,
        "below 60 °C",
        "61 °C on GPU 1",
    )


def test_a_check_that_the_category_turned_off_is_not_made() -> None:
    category = with_checks(xid=CheckPolicy(enabled=False))
    assert "xid" not in {finding.check for finding in check_all(scene(category=category))}
    everything = replace(H100, checks=dict.fromkeys(CHECKS, CheckPolicy(enabled=False)))
    assert verdict_of(check_all(scene(category=everything))) is Verdict.UNKNOWN


def test_a_check_that_the_category_does_not_need_only_warns() -> None:
    category = with_checks(telemetry=CheckPolicy(needed=False), xid=CheckPolicy(needed=False))
    assert verdict_of(check_all(scene(rows=(), category=category))) is Verdict.WARN


def test_the_same_boot_does_not_lift_a_quarantine_whose_xid_is_gone() -> None:
    node = replace(NODE, stage=Stage.QUARANTINED, gate=FAULT)
    assert found("evidence", node=node).verdict is Verdict.FAIL
    assert verdict_of(check_all(scene(node=node))) is Verdict.FAIL


def test_another_boot_lifts_it() -> None:
    node = replace(NODE, stage=Stage.QUARANTINED, gate=FAULT, boot_id="boot-2")
    assert found("evidence", node=node).verdict is Verdict.PASS
    assert verdict_of(check_all(scene(node=node))) is Verdict.PASS


def test_a_node_made_anew_lifts_it() -> None:
    node = replace(NODE, gate=FAULT, created=START - timedelta(minutes=1))
    assert found("evidence", node=node).verdict is Verdict.PASS


AGED = with_checks(xid=CheckPolicy(window=timedelta(minutes=2)))


@pytest.mark.parametrize(
    ("ago", "verdict"),
    [(5, Verdict.FAIL), (30, Verdict.PASS), (None, Verdict.PASS)],
    ids=["after the boot", "before it", "at a time that nobody knows"],
)
@pytest.mark.parametrize("changes", [{"boot_id": "boot-2"}, {"created": START - timedelta(minutes=10)}])
def test_a_boot_older_than_an_xid_that_shows_is_no_evidence_though_that_has_aged_out(
    changes: dict[str, Any], ago: int | None, verdict: Verdict
) -> None:
    ready = replace(READY, since=START - timedelta(minutes=10))
    node = replace(NODE, stage=Stage.QUARANTINED, gate=FAULT, conditions=(ready,), **changes)
    at = None if ago is None else START - timedelta(minutes=ago)
    shown = {"node": node, "rows": gpus(xid=79, xid_at=at), "category": AGED}
    assert found("evidence", **shown).verdict is verdict
    assert found("evidence", **{**shown, "rows": gpus(xid=43, xid_at=at)}).verdict is Verdict.PASS
    if ago is not None:
        assert found("xid", **shown).verdict is Verdict.WARN, "it has aged out of the window"
    if ago == 5:
        assert (
            "XID 79 (RC_GPU_HAS_FALLEN_OFF_THE_BUS) on GPU 1 at 2026-03-01 02:55 UTC"
            in found("evidence", **shown).value
        )


def test_where_slurm_says_when_a_node_booted_that_is_what_counts() -> None:
    booted = replace(NODE, stage=Stage.QUARANTINED, gate=replace(FAULT, boot_id="2026-03-01T01:00:00+00:00"))
    since = replace(booted, boot_id=(START - timedelta(minutes=10)).isoformat())
    rows = gpus(xid=79, xid_at=START - timedelta(minutes=5))
    assert found("evidence", node=since, rows=rows, category=AGED).verdict is Verdict.FAIL
    earlier = gpus(xid=79, xid_at=START - timedelta(minutes=15))
    assert found("evidence", node=since, rows=earlier, category=AGED).verdict is Verdict.PASS


@pytest.mark.parametrize(("recorded", "now"), [("", "boot-1"), ("boot-1", ""), ("", "")])
def test_a_boot_that_is_not_known_is_no_evidence(recorded: str, now: str) -> None:
    node = replace(NODE, gate=replace(FAULT, boot_id=recorded), boot_id=now)
    assert found("evidence", node=node).verdict is Verdict.UNKNOWN


def test_a_fault_found_again_under_the_same_boot_still_asks_for_a_boot() -> None:
    second = GateRecord(
        Verdict.FAIL, check_all(scene(node=replace(NODE, gate=FAULT))), START, boot_id="boot-1"
    )
    assert found("evidence", node=replace(NODE, gate=second)).verdict is Verdict.FAIL


def test_a_state_that_is_put_right_needs_no_boot() -> None:
    record = replace(FAULT, findings=(Finding("image", Verdict.FAIL), Finding("gpus", Verdict.FAIL)))
    node = replace(NODE, stage=Stage.QUARANTINED, gate=record)
    assert "evidence" not in {finding.check for finding in check_all(scene(node=node))}


def test_a_record_that_names_no_fault_asks_for_a_boot() -> None:
    assert found("evidence", node=replace(NODE, gate=replace(FAULT, findings=()))).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("ready_since", "verdict"),
    [
        (START - timedelta(hours=2), Verdict.UNKNOWN),
        (START - timedelta(minutes=1), Verdict.PASS),
        (None, Verdict.UNKNOWN),
    ],
)
def test_a_quarantine_left_by_a_failed_step_needs_the_node_to_come_up_after_it(
    ready_since: datetime | None, verdict: Verdict
) -> None:
    hold = Hold("oncall", kind=HolderKind.OURS, since=START - timedelta(hours=1))
    node = replace(
        NODE, stage=Stage.QUARANTINED, holds=(hold,), conditions=(replace(READY, since=ready_since),)
    )
    assert found("evidence", node=node).verdict is verdict
    assert found("evidence", node=replace(node, holds=())).verdict is Verdict.UNKNOWN


async def test_without_a_telemetry_source_the_gate_stays_closed() -> None:
    checker = GateChecker(Policy(), ManualClock(), None)
    findings = await checker.findings(NodeFacts(NODE), H100)
    assert verdict_of(findings) is Verdict.UNKNOWN
    (xid,) = (finding for finding in findings if finding.check == "xid")
    assert (xid.value, xid.final) == ("no telemetry source is configured", True)
    assert not any(finding.final for finding in findings if finding.check in FROM_FACTS)


async def test_without_a_telemetry_source_it_says_how_to_do_without_and_that_is_enough() -> None:
    checker = GateChecker(Policy(), ManualClock(), None)
    findings = {finding.check: finding for finding in await checker.findings(NodeFacts(NODE), H100)}
    for check in ("telemetry", "xid"):
        assert findings[check].value == "no telemetry source is configured"
        assert f'needed = false under [category."h100".checks.{check}]' in findings[check].clears
        assert "--prometheus" in findings[check].clears
    without = replace(H100, checks=dict.fromkeys(("telemetry", "xid"), CheckPolicy(needed=False)))
    assert verdict_of(await checker.findings(NodeFacts(NODE), without)) is Verdict.WARN


@pytest.mark.parametrize(
    ("fault", "check", "waits"),
    [("row_remap_failure", "row-remap", False), ("remap_pending", "row-remap-pending", True)],
)
async def test_only_a_fault_that_stays_is_not_waited_for(fault: str, check: str, waits: bool) -> None:
    rows = gpus(**{fault: True})

    async def read(key: NodeKey) -> Readings:
        return Readings(node_from_gpus(rows, START), rows, "prometheus")

    found_now = await GateChecker(Policy(), ManualClock(), read).findings(NodeFacts(NODE), H100)
    (finding,) = (each for each in found_now if each.check == check)
    assert (finding.verdict, finding.final) == (Verdict.FAIL, not waits)


async def test_findings_that_came_with_the_facts_are_kept() -> None:
    async def read(key: NodeKey) -> Readings:
        return Readings(node_from_gpus(gpus(), START), gpus(), "prometheus")

    own = Finding("upgrade", Verdict.FAIL, "a driver upgrade is under way", at=START)
    findings = await GateChecker(Policy(), ManualClock(), read).findings(
        NodeFacts(NODE, findings=(own,)), H100
    )
    assert findings[0] is own
    assert verdict_of(findings) is Verdict.FAIL


def test_words_from_outside_are_made_fit_to_show() -> None:
    condition = Condition("\x1b[31mX", "True", bad=True, reason="[bold]" * 10_000)
    finding = found(
        "conditions", node=replace(NODE, conditions=(condition,), image=Image("\x1b]0;x\x07v1", "", "v2"))
    )
    assert "\x1b" not in finding.value
    assert len(finding.value) <= 200


optional_gpu = st.builds(
    lambda index, **read: replace(GPU, gpu=str(index), uuid=f"GPU-{index}", **read),
    index=st.integers(0, 2),
    util=st.sampled_from([None, 5.0]),
    temp=st.sampled_from([None, 40.0, 95.0]),
    power_watts=st.sampled_from([None, 90.0]),
    fb_used_mib=st.sampled_from([None, 1.0]),
    xid=st.sampled_from([None, 0, 13, 43, 79]),
    row_remap_failure=st.sampled_from([None, False, True]),
    at=st.sampled_from([None, START, START - timedelta(minutes=5)]),
)
any_node = st.builds(
    lambda **read: replace(NODE, **read),
    readiness=st.sampled_from(Readiness),
    image=st.builds(
        Image, st.sampled_from([None, "v1", "v2"]), st.just("label"), st.sampled_from([None, "v2"])
    ),
    gpus_capacity=st.sampled_from([None, 0, 2]),
    gpus_allocatable=st.sampled_from([None, 0, 2]),
    software=st.builds(Software, st.sampled_from(["", "560.35"])),
    stage=st.sampled_from([Stage.GATED, Stage.QUARANTINED]),
    gate=st.sampled_from([None, FAULT, replace(FAULT, boot_id=""), replace(FAULT, verdict=Verdict.UNKNOWN)]),
    boot_id=st.sampled_from(["", "boot-1", "boot-2"]),
)
any_category = st.sampled_from([H100, Category("h100"), replace(H100, expected_gpus=None)])


@given(any_node, st.lists(optional_gpu, max_size=3, unique_by=lambda gpu: gpu.gpu).map(tuple), any_category)
def test_nothing_that_is_needed_and_unreadable_ever_passes(
    node: Node, rows: tuple[GpuTelemetry, ...], category: Category
) -> None:
    expected = category.expected_gpus or node.gpus_capacity
    desired = node.image.desired or category.desired_image
    unreadable = (
        node.readiness is Readiness.UNKNOWN
        or not expected
        or node.gpus_allocatable is None
        or (desired is not None and node.image.running is None)
        or len(rows) != expected
        or any(gpu.xid is None or gpu.at != START for gpu in rows)
        or all(gpu.driver == "" for gpu in rows)
        or (node.stage is Stage.QUARANTINED and node.gate is None)
        or (
            node.gate is not None
            and node.gate.verdict is Verdict.FAIL
            and not (node.gate.boot_id and node.boot_id)
        )
    )
    verdict = verdict_of(check_all(scene(node=node, rows=rows, category=category)))
    assert not (unreadable and verdict.admits)


@given(st.lists(optional_gpu, max_size=3, unique_by=lambda gpu: gpu.gpu).map(tuple))
def test_a_forbidden_xid_or_a_failed_row_never_admits(rows: tuple[GpuTelemetry, ...]) -> None:
    faulty = any(gpu.xid == 79 or gpu.row_remap_failure for gpu in rows)
    verdict = verdict_of(check_all(scene(rows=rows)))
    assert (verdict is Verdict.FAIL) == faulty
