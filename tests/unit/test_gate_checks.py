"""Every passive check by a table: what passes, what fails, what can't be read, and what nobody tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.category import CheckPolicy
from fleet.check_catalogue import CATALOGUE, default_policy, table
from fleet.checks import Scene
from fleet.gate import check_all
from fleet.gate_checks import CHECKS
from fleet.gpu_rows import node_from_gpus
from fleet.health import Acceptance, Finding, Verdict, counts_for_nothing, verdict_of
from fleet.node import Condition, Image, Node, Readiness, Software
from fleet.plan import NodeFacts
from fleet.policy import Policy
from fleet.telemetry import GpuTelemetry, Replays
from fleet.telemetry_feed import Readings
from tests.clocks import START
from tests.unit.test_gate import GPU, H100, NODE, READY, TELLS_ALL

OLD = START - timedelta(minutes=10)
CATEGORY = replace(
    H100,
    vbios="96.00.5E.00.01",
    cuda="12.6",
    checks={"pcie-gen": CheckPolicy(needed=False, limit=5)},
)
HEALTHY = replace(GPU, **TELLS_ALL)
NODE_HEALTHY = replace(NODE, conditions=(READY, Condition("HealthCheck", "Passed", bad=False)))
OPERATOR = Finding("gpu-operator", Verdict.PASS, "validated", "ready", "lab", START)


@dataclass(frozen=True)
class Seen:
    """What is changed of a healthy node of two GPUs: the node, the second GPU, or both; `facts` come with the node."""

    node: Mapping[str, Any] = field(default_factory=dict)
    gpu: Mapping[str, Any] = field(default_factory=dict)
    both: Mapping[str, Any] = field(default_factory=dict)
    facts: tuple[Finding, ...] = (OPERATOR,)
    rows: int = 2
    replays: Sequence[float] = ()
    """The second GPU's PCIe replays, a minute apart up to now; empty where the source has no past."""

    def scene(self, category: Any = CATEGORY) -> Scene:
        first = replace(HEALTHY, **self.both)
        second = replace(first, gpu="1", uuid="GPU-b", **self.gpu)
        rows = (first, second)[: self.rows]
        summed = node_from_gpus(rows, START) if rows else None
        read = Readings(summed, rows, "prometheus", replays=self.past())
        node = replace(NODE_HEALTHY, **self.node)
        return Scene(NodeFacts(node, findings=self.facts), category, Policy(), read, START)

    def past(self) -> Replays:
        first = START - timedelta(minutes=len(self.replays) - 1)
        samples = [(first + timedelta(minutes=n), value) for n, value in enumerate(self.replays)]
        return {"GPU-b": samples} if samples else {}


def gpu(**changes: Any) -> Seen:
    return Seen(gpu=changes)


def both(**changes: Any) -> Seen:
    return Seen(both=changes)


def resending(*counted: float) -> Seen:
    """The second GPU's counter of PCIe replays, a minute apart up to now."""
    return Seen(gpu={"pcie_replays": counted[-1]}, replays=counted)


def on_node(**changes: Any) -> Seen:
    return Seen(node=changes)


def operator(verdict: Verdict) -> Seen:
    return Seen(facts=(replace(OPERATOR, verdict=verdict, clears="the upgrade ending"),))


def conditions(*found: Condition) -> Seen:
    return on_node(conditions=(READY, *found))


FAILING: dict[str, Seen] = {
    "ready": on_node(readiness=Readiness.NOT_READY),
    "conditions": conditions(Condition("GpuMemWatch", "True", bad=True, reason="GpuMemWatchIsNotHealthy")),
    "gpus": on_node(gpus_allocatable=1),
    "image": on_node(image=Image("v1", "label", "v2")),
    "driver": on_node(software=Software(driver="550.90", cuda="12.6")),
    "cuda": on_node(software=Software(driver="560.35", cuda="12.4")),
    "gpu-operator": operator(Verdict.FAIL),
    "health-check": conditions(Condition("HealthCheck", "Failed", bad=True, reason="NHC")),
    "xid": gpu(xid=79),
    "temperature": both(temp_margin=None, temp=95),
    "temp-margin": gpu(temp_margin=0),
    "clock-events": gpu(clock_event_reasons=0x48),
    "ecc-dbe": gpu(ecc_dbe_volatile=1),
    "ecc-sbe": gpu(ecc_sbe_volatile=20_000_001),
    "row-remap": gpu(row_remap_failure=True),
    "row-remap-pending": gpu(remap_pending=True),
    "remapped-rows": gpu(remapped_uncorrectable=513),
    "retired-pages": gpu(retired_pending=1),
    "nvlink": gpu(nvlinks_up=17, nvlinks_down=1),
    "nvlink-errors": gpu(nvlink_errors=1),
    "pcie-width": gpu(pcie_width=8),
    "pcie-gen": gpu(pcie_gen=4),
    "pcie-replays": resending(*range(900, 931)),
    "recovery-action": gpu(recovery_action=1),
    "persistence": gpu(persistence=False),
    "vbios": gpu(vbios="96.00.5E.00.02"),
}
WARNS = frozenset({"temperature", "ecc-sbe", "retired-pages", "nvlink-errors", "pcie-replays"})

EDGE: dict[str, Seen] = {
    "temp-margin": gpu(temp_margin=1),
    "temperature": gpu(temp=89, temp_margin=None),
    "clock-events": gpu(clock_event_reasons=0x107),
    "ecc-sbe": gpu(ecc_sbe_volatile=20_000_000),
    "remapped-rows": gpu(remapped_uncorrectable=512),
    "pcie-replays": resending(*[900] * 26, 901, 902, 903, 904, 905),
    "pcie-gen": gpu(pcie_gen=5),
    "xid": gpu(xid=43),
    "conditions": conditions(
        Condition("KernelDeadlock", "False", bad=False), Condition("Ours", "True", bad=None)
    ),
    "driver": on_node(software=Software(driver="560.35.99", cuda="12.6")),
    "cuda": on_node(software=Software(driver="560.35", cuda="12.6.85")),
}

UNREADABLE: dict[str, Seen] = {
    "ready": on_node(readiness=Readiness.UNKNOWN),
    "conditions": conditions(Condition("DiskPressure", "Unknown", bad=None)),
    "gpus": on_node(gpus_allocatable=None),
    "image": on_node(image=Image(None, "", "v2")),
    "driver": Seen(node={"software": Software(cuda="12.6")}, both={"driver": ""}),
    "cuda": on_node(software=Software(driver="560.35")),
    "gpu-operator": operator(Verdict.UNKNOWN),
    "health-check": conditions(Condition("HealthCheck", "Unknown", bad=None)),
    "telemetry": gpu(at=OLD),
    "xid": gpu(xid=None),
    "temperature": gpu(temp=None, temp_margin=None),
    "temp-margin": gpu(temp_margin=None),
    "clock-events": gpu(clock_event_reasons=None),
    "ecc-dbe": gpu(ecc_dbe_volatile=None),
    "ecc-sbe": gpu(ecc_sbe_volatile=None),
    "row-remap": gpu(row_remap_failure=None),
    "row-remap-pending": gpu(remap_pending=None),
    "remapped-rows": gpu(remapped_uncorrectable=None),
    "retired-pages": gpu(retired_pending=None),
    "nvlink": gpu(nvlinks_up=None),
    "nvlink-errors": gpu(nvlink_errors=None),
    "pcie-width": gpu(pcie_width=None),
    "pcie-gen": gpu(pcie_gen=None),
    "pcie-replays": gpu(pcie_replays=None),
    "recovery-action": gpu(recovery_action=None),
    "persistence": gpu(persistence=None),
    "vbios": gpu(vbios=""),
}

ABSENT: dict[str, Seen] = {
    "ready": on_node(readiness=Readiness.UNKNOWN, conditions=()),
    "conditions": on_node(readiness=Readiness.UNKNOWN, conditions=()),
    "gpus": on_node(gpus_capacity=None, gpus_allocatable=None),
    "image": on_node(image=Image(None, "", "v2")),
    "driver": Seen(node={"software": Software()}, both={"driver": ""}),
    "cuda": on_node(software=Software()),
    "gpu-operator": Seen(facts=()),
    "health-check": conditions(),
    "telemetry": Seen(rows=0),
    **{
        name: Seen(both=dict.fromkeys(UNREADABLE[name].gpu))
        for name, spec in CATALOGUE.items()
        if spec.feed == "telemetry" and name not in ("telemetry", "vbios")
    },
    "vbios": both(vbios=""),
}
"""What nobody tells. Of conditions none is bad then: what keeps such a node closed is that nobody says that it is ready."""

PASSIVE = tuple(name for name, spec in CATALOGUE.items() if not spec.active)
OF_GPUS = tuple(name for name, spec in CATALOGUE.items() if spec.feed == "telemetry")
NUMBERS = tuple(name for name in OF_GPUS if name not in ("telemetry", "xid", "vbios"))


def found(check: str, seen: Seen, category: Any = CATEGORY) -> Finding:
    (finding,) = [each for each in check_all(seen.scene(category)) if each.check == check]
    return finding


def needing(*checks: str) -> Any:
    rules = {
        name: replace(CATEGORY.checks.get(name, CheckPolicy()), needed=True, asked=True) for name in checks
    }
    return replace(CATEGORY, checks={**CATEGORY.checks, **rules})


def test_the_tables_hold_every_check() -> None:
    assert {*FAILING, "telemetry"} == set(PASSIVE)  # telemetry that is there is never a fault
    assert set(UNREADABLE) == set(PASSIVE)
    assert set(ABSENT) == set(PASSIVE)


@pytest.mark.parametrize("check", PASSIVE)
def test_what_nobody_tells_closes_where_it_is_needed(check: str) -> None:
    seen, needs_all = ABSENT[check], needing(*PASSIVE)
    assert verdict_of(check_all(seen.scene(needs_all))) is Verdict.UNKNOWN
    if check != "conditions":
        finding = found(check, seen, needing(check))
        assert (finding.verdict, finding.needed) == (Verdict.UNKNOWN, True)
        assert finding.clears


@pytest.mark.parametrize("check", PASSIVE)
def test_a_healthy_node_passes(check: str) -> None:
    finding = found(check, Seen())
    assert finding.verdict is Verdict.PASS
    assert finding.value
    assert finding.threshold
    assert finding.source
    assert finding.at == START
    assert finding.clears == ""


@pytest.mark.parametrize(("check", "seen"), FAILING.items())
def test_a_fault_is_found_and_says_what_would_clear_it(check: str, seen: Seen) -> None:
    finding = found(check, seen)
    assert finding.verdict is (Verdict.WARN if check in WARNS else Verdict.FAIL)
    assert finding.clears
    assert finding.value
    closing = [each for each in check_all(seen.scene()) if not counts_for_nothing(each)]
    others = [each.check for each in closing if not each.verdict.admits]
    assert set(others) <= {check}


@pytest.mark.parametrize(("check", "seen"), EDGE.items())
def test_a_value_at_the_limit_passes(check: str, seen: Seen) -> None:
    assert found(check, seen).verdict is Verdict.PASS


@pytest.mark.parametrize(("check", "seen"), UNREADABLE.items())
def test_what_can_not_be_read_is_unknown_and_keeps_closed_whoever_needs_it(check: str, seen: Seen) -> None:
    finding = found(check, seen, needing(check))
    assert (finding.verdict, finding.needed) == (Verdict.UNKNOWN, True)
    assert finding.clears
    assert verdict_of(check_all(seen.scene(needing(check)))) is Verdict.UNKNOWN


@pytest.mark.parametrize("check", [name for name in UNREADABLE if not CATALOGUE[name].needed])
def test_what_only_some_gpus_tell_warns_where_nobody_needs_it(check: str) -> None:
    finding = found(check, UNREADABLE[check])
    assert (finding.verdict, finding.absent) == (Verdict.UNKNOWN, False)
    assert "told by 1 of 2 GPUs" in finding.value
    assert verdict_of(check_all(UNREADABLE[check].scene())) is Verdict.WARN


@pytest.mark.parametrize("check", NUMBERS)
def test_what_no_gpu_tells_says_nothing_and_closes_where_it_is_needed(check: str) -> None:
    absent = both(**dict.fromkeys(UNREADABLE[check].gpu))
    finding = found(check, absent)
    assert (finding.verdict, finding.absent, finding.value) == (Verdict.UNKNOWN, True, "not exported")
    assert counts_for_nothing(finding)
    assert verdict_of(check_all(absent.scene())) is Verdict.PASS
    assert verdict_of(check_all(absent.scene(needing(check)))) is Verdict.UNKNOWN


@pytest.mark.parametrize("check", NUMBERS)
def test_a_clean_value_that_is_old_is_unknown(check: str) -> None:
    finding = found(check, both(at=OLD))
    assert (finding.verdict, finding.absent, finding.value) == (Verdict.UNKNOWN, False, "too old")


@pytest.mark.parametrize(
    "check", ["ecc-dbe", "row-remap", "row-remap-pending", "remapped-rows", "recovery-action"]
)
def test_a_fault_that_outlives_its_sample_counts_however_old_it_is(check: str) -> None:
    seen = Seen(gpu={**FAILING[check].gpu, "at": OLD})
    assert found(check, seen).verdict is Verdict.FAIL


@pytest.mark.parametrize("check", ["clock-events", "temp-margin"])
def test_a_fault_of_the_moment_is_not_told_by_an_old_sample(check: str) -> None:
    assert found(check, Seen(gpu={**FAILING[check].gpu, "at": OLD})).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("check", OF_GPUS)
def test_a_node_that_should_have_no_gpus_passes(check: str) -> None:
    cpu = replace(CATEGORY, expected_gpus=0)
    seen = Seen(node={"gpus_capacity": 0, "gpus_allocatable": 0}, rows=0)
    assert found(check, seen, cpu).verdict is Verdict.PASS


@pytest.mark.parametrize("check", [name for name in FAILING if CATALOGUE[name].severity is not None])
def test_the_category_says_what_a_bad_value_comes_to(check: str) -> None:
    for severity in (Verdict.WARN, Verdict.FAIL):
        rule = replace(CATEGORY.checks.get(check) or default_policy(check), severity=severity)
        category = replace(CATEGORY, checks={**CATEGORY.checks, check: rule})
        assert found(check, FAILING[check], category).verdict is severity
        assert found(check, Seen(), category).verdict is Verdict.PASS


def test_a_limit_of_the_category_is_its_own() -> None:
    strict = replace(
        CATEGORY, checks={"remapped-rows": CheckPolicy(limit=8), "nvlink": CheckPolicy(limit=12)}
    )
    assert found("remapped-rows", gpu(remapped_uncorrectable=9), strict).verdict is Verdict.FAIL
    assert found("nvlink", gpu(nvlinks_up=12, nvlinks_down=0), strict).verdict is Verdict.PASS
    assert found("nvlink", gpu(nvlinks_up=11, nvlinks_down=0), strict).threshold == "12 up on each GPU"
    mask = replace(CATEGORY, checks={"clock-events": CheckPolicy(limit=0x8)})
    assert found("clock-events", gpu(clock_event_reasons=0x40), mask).verdict is Verdict.PASS
    assert found("clock-events", gpu(clock_event_reasons=0x48), mask).verdict is Verdict.FAIL


def test_without_a_limit_there_is_nothing_to_judge_by() -> None:
    plain = replace(CATEGORY, checks={})
    finding = found("pcie-gen", gpu(pcie_gen=4), plain)
    assert (finding.value, finding.threshold, finding.absent) == ("generation 4", "no limit declared", True)
    assert "limit" in finding.clears


def test_slowing_names_every_reason_and_the_gpus() -> None:
    finding = found("clock-events", gpu(clock_event_reasons=0x68))
    assert finding.value == "HW thermal, SW thermal, HW slowdown on GPU 1"


def test_a_gpu_that_only_drains_its_peers_warns() -> None:
    finding = found("recovery-action", gpu(recovery_action=3))
    assert (finding.verdict, finding.value) == (Verdict.WARN, "drain of its peers on GPU 1")
    seen = Seen(both={"recovery_action": 3}, gpu={"recovery_action": 2})
    assert found("recovery-action", seen).verdict is Verdict.FAIL


def test_a_gpu_is_judged_by_its_margin_and_else_by_its_heat() -> None:
    hot = gpu(temp=95)
    assert (found("temperature", hot).verdict, found("temp-margin", hot).verdict) == (
        Verdict.PASS,
        Verdict.PASS,
    )
    assert found("temperature", gpu(temp=95, temp_margin=None)).verdict is Verdict.WARN
    unread = found("temperature", gpu(temp=None))
    assert (unread.verdict, unread.threshold) == (Verdict.UNKNOWN, "below its slowdown threshold")


def test_a_health_check_that_failed_before_this_boot_warns() -> None:
    seen = conditions(Condition("HealthCheck", "Failed before this boot", bad=None, reason="NHC"))
    finding = found("health-check", seen)
    assert (finding.verdict, finding.value) == (Verdict.WARN, "Failed before this boot: NHC")


def test_a_node_that_nothing_checks_has_no_finding_unless_the_site_asks() -> None:
    seen = Seen(node={"conditions": (READY,)}, facts=())
    assert not {"health-check", "gpu-operator"} & {each.check for each in check_all(seen.scene())}
    asked = needing("health-check")
    assert found("health-check", seen, asked).value == "nobody reports it"
    assert verdict_of(check_all(seen.scene(asked))) is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("at", "window", "verdict"),
    [
        (None, None, Verdict.FAIL),
        (START - timedelta(hours=3), None, Verdict.FAIL),
        (START - timedelta(hours=3), timedelta(hours=2), Verdict.WARN),
        (START - timedelta(hours=1), timedelta(hours=2), Verdict.FAIL),
        (None, timedelta(hours=2), Verdict.FAIL),
    ],
)
def test_an_xid_ages_out_only_of_a_window_that_the_site_set_and_only_when_its_age_is_known(
    at: Any, window: Any, verdict: Verdict
) -> None:
    category = replace(CATEGORY, checks={**CATEGORY.checks, "xid": CheckPolicy(window=window)})
    finding = found("xid", gpu(xid=79, xid_at=at), category)
    assert finding.verdict is verdict
    assert ("age unknown" if at is None else "h ago") in finding.value


def test_the_table_of_the_docs_names_every_check_once() -> None:
    rows = table().splitlines()[2:]
    assert [row.split("|")[1].strip(" `") for row in rows] == list(CATALOGUE)
    assert all(row.count("|") == 9 for row in rows)


readings = st.fixed_dictionaries(
    {
        name: st.sampled_from([None, value, FAILING_VALUE])
        for name, value, FAILING_VALUE in (
            ("xid", 0, 79),
            ("temp", 40, 95),
            ("temp_margin", 40, 0),
            ("clock_event_reasons", 0, 0x8),
            ("ecc_dbe_volatile", 0, 2),
            ("row_remap_failure", False, True),
            ("remap_pending", False, True),
            ("recovery_action", 0, 2),
            ("pcie_width", 16, 8),
            ("persistence", True, False),
        )
    }
)
times = st.sampled_from([START, OLD, None])
needs = st.sets(st.sampled_from((*NUMBERS, "xid", "telemetry")), max_size=6)
READS: Mapping[str, str] = {
    "xid": "xid",
    "temp-margin": "temp_margin",
    "clock-events": "clock_event_reasons",
    "ecc-dbe": "ecc_dbe_volatile",
    "row-remap": "row_remap_failure",
    "row-remap-pending": "remap_pending",
    "recovery-action": "recovery_action",
    "pcie-width": "pcie_width",
    "persistence": "persistence",
}


HOUR = timedelta(hours=1)
WORDS: Mapping[str, tuple[timedelta, timedelta]] = {
    "stands": (-HOUR, HOUR),
    "is over": (-2 * HOUR, -HOUR),
    "ends now": (-HOUR, timedelta()),
    "is to come": (HOUR, 2 * HOUR),
    "is longer than the site allows, and that is over": (-25 * HOUR, 25 * HOUR),
}
"""From when to when, beside now, a person's word may be; only the first of them counts."""

words = st.dictionaries(st.sampled_from((*READS, "telemetry")), st.sampled_from(tuple(WORDS)), max_size=8)


@given(
    first=readings,
    second=readings,
    at=times,
    needed=needs,
    accepted=st.one_of(st.just(dict.fromkeys(CHECKS, "stands")), words),
    missing=st.booleans(),
)
def test_no_combination_with_an_unreadable_needed_check_passes(
    first: dict[str, Any],
    second: dict[str, Any],
    at: Any,
    needed: set[str],
    accepted: dict[str, str],
    missing: bool,
) -> None:
    rows: tuple[GpuTelemetry, ...] = (
        replace(HEALTHY, **first),
        replace(HEALTHY, gpu="1", uuid="GPU-b", **{**second, "at": at}),
    )
    rows = rows[:1] if missing else rows
    said = {check: tuple(START + at for at in WORDS[word]) for check, word in accepted.items()}
    given_words = tuple(Acceptance(check, "oncall", "power event", *span) for check, span in said.items())
    node: Node = replace(NODE_HEALTHY, accepted=given_words)
    read = Readings(node_from_gpus(rows, START), rows, "prometheus")
    scene = Scene(NodeFacts(node, findings=(OPERATOR,)), needing(*needed), Policy(), read, START)
    found = check_all(scene)
    verdict = verdict_of(found)
    told: list[GpuTelemetry] = [row for row in rows if row.at == START]
    silent = len(told) < 2
    unreadable = {
        check
        for check, name in READS.items()
        if check in needed | {"xid"} and (silent or any(getattr(row, name) is None for row in told))
    } | ({"telemetry"} if silent else set())
    assert not (unreadable and verdict is Verdict.PASS)
    assert not (any(accepted.get(check) != "stands" for check in unreadable) and verdict.admits)
    if any(row.xid == 79 or row.row_remap_failure or row.ecc_dbe_volatile for row in rows):
        assert verdict is Verdict.FAIL
    for each in found:
        stands = each.verdict is Verdict.UNKNOWN and accepted.get(each.check) == "stands"
        assert (each.accepted is not None) is stands


def test_the_page_of_the_gate_has_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "health-gate.md"
    assert table() in page.read_text()


def test_without_a_limit_it_makes_no_difference_how_many_tell() -> None:
    plain = replace(CATEGORY, checks={})
    for seen in (gpu(pcie_gen=None), both(at=OLD)):
        assert found("pcie-gen", seen, plain).absent


AN_HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("check", "rule", "seen"),
    [
        (
            "xid",
            CheckPolicy(window=AN_HOUR),
            {"both": {"xid": 79, "xid_at": START - 2 * AN_HOUR}, "gpu": {"xid": None}},
        ),
        ("temperature", CheckPolicy(limit=90), {"both": {"temp": 95.0}, "gpu": {"temp": None}}),
        ("ecc-sbe", CheckPolicy(), {"both": {"ecc_sbe_volatile": 3e7}, "gpu": {"ecc_sbe_volatile": None}}),
        (
            "recovery-action",
            CheckPolicy(),
            {"both": {"recovery_action": 3}, "gpu": {"recovery_action": None}},
        ),
        (
            "ecc-dbe",
            CheckPolicy(severity=Verdict.WARN),
            {"both": {"ecc_dbe_volatile": 1.0}, "gpu": {"at": OLD}},
        ),
        ("vbios", CheckPolicy(severity=Verdict.WARN), {"both": {"vbios": "other"}, "gpu": {"vbios": ""}}),
        (
            "pcie-replays",
            CheckPolicy(),
            {"both": {"pcie_replays": None}, "gpu": {"pcie_replays": 40.0}, "replays": (0.0,) * 30 + (40.0,)},
        ),
    ],
)
def test_a_fault_that_only_warns_hides_no_gpu_that_a_needed_check_can_t_read(
    check: str, rule: CheckPolicy, seen: Mapping[str, Any]
) -> None:
    def found(*, needed: bool) -> Finding:
        checks = {**CATEGORY.checks, check: replace(rule, needed=needed)}
        findings = check_all(Seen(**seen).scene(replace(CATEGORY, checks=checks)))
        return next(finding for finding in findings if finding.check == check)

    assert found(needed=False).verdict is Verdict.WARN
    unknown = found(needed=True)
    assert unknown.verdict is Verdict.UNKNOWN
    assert "every GPU" in unknown.clears
