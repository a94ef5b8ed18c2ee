"""No combination of what passes, fails, can't be read or is told by nobody admits a node past a check that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleet.category import CheckPolicy
from fleet.diagnosing import Diagnoses
from fleet.diagnosis import DCGM_DIAG, NCCL, Diagnose, Diagnosed, as_evidence, unknown
from fleet.gate import check_all
from fleet.health import Finding, Verdict, verdict_of
from fleet.node import Admission, Condition, Node, Software
from fleet.operation import Outcome, StepState
from fleet.plan import NodePlan, Step
from tests.builders import plan
from tests.clocks import START
from tests.unit.test_gate import READY
from tests.unit.test_gate_checks import (
    ABSENT,
    CATEGORY,
    FAILING,
    OPERATOR,
    PASSIVE,
    UNREADABLE,
    Seen,
)

SITE_OWN = "site.links"
ACTIVE = (DCGM_DIAG, NCCL, SITE_OWN)
STATES: Mapping[str, Mapping[str, Seen]] = {
    "fails": FAILING,
    "can't be read": UNREADABLE,
    "is told by nobody": ABSENT,
}
PASSED = Condition("HealthCheck", "Passed", bad=False)
FOUND_OUT = {"passed": Verdict.PASS, "warned": Verdict.WARN, "failed": Verdict.FAIL}
RUNS = (*FOUND_OUT, "could not be told", "was not run", "was of another boot", "is not legible", "broke off")


def together(states: Mapping[str, str]) -> Seen:
    """A node of which each check is in its state, as far as they can be so at once: what is missing wins over what is there."""
    node: dict[str, Any] = {}
    gpu: dict[str, Any] = {}
    both: dict[str, Any] = {}
    seen = Seen(node=node, gpu=gpu, both=both)
    conditions, software = [READY], Software(driver="560.35", cuda="12.6")
    for check, state in states.items():
        if check == "health-check" and state == "passes":
            conditions.append(PASSED)
        if state == "passes":
            continue
        one = STATES[state][check]
        for kept, said in ((node, one.node), (gpu, one.gpu), (both, one.both)):
            missing = {name for name, value in kept.items() if value is None}
            kept.update({name: value for name, value in said.items() if name not in missing})
        conditions += [item for item in one.node.get("conditions", ()) if item is not READY]
        if (told := one.node.get("software")) is not None and check in ("driver", "cuda"):
            software = replace(software, **{check: getattr(told, check)})
        changed = replace(seen, rows=min(seen.rows, one.rows), replays=one.replays or seen.replays)
        seen = changed if one.facts == (OPERATOR,) else replace(changed, facts=one.facts)
    node.update(conditions=tuple(conditions), software=software)
    return seen


def diagnoses(runs: Mapping[str, str], node: Node) -> Diagnoses:
    """What the journal has of the active checks of an operation."""
    steps, outcomes = [], []
    for check, how in runs.items():
        step = Step(check, node.key, Diagnose(check, "op", "oncall", ("true",)), f"run {check}")
        steps.append(step)
        if how == "was not run":
            continue
        finding = (
            Finding(check, FOUND_OUT[how], "as told", at=START)
            if how in FOUND_OUT
            else Finding(check, Verdict.PASS, "as told", at=START)
        )
        if how == "could not be told":
            finding = unknown(check, "killed", at=START)
        boot = "another" if how == "was of another boot" else node.boot_id
        evidence = as_evidence(Diagnosed(finding, boot))
        evidence = evidence[:40] if how == "is not legible" else evidence
        state = StepState.FAILED if how == "broke off" else StepState.DONE
        outcomes.append(Outcome(step.id, node.key, state, check, evidence))
    whole = plan()
    return Diagnoses(replace(whole, nodes=(NodePlan(node.key, tuple(steps)),)), outcomes)


odd = st.tuples(st.sampled_from(PASSIVE), st.sampled_from(tuple(STATES))).filter(
    lambda one: one[0] in STATES[one[1]]
)
states = st.lists(odd, max_size=4).map(lambda some: {**dict.fromkeys(PASSIVE, "passes"), **dict(some)})
"""Few that do not pass at a time: among many there is always a fault, which closes a node whatever else is so."""

runs = st.fixed_dictionaries({check: st.sampled_from(("passed", "passed", *RUNS)) for check in ACTIVE})
everything = st.just(frozenset((*PASSIVE, *ACTIVE)))
needs = st.one_of(everything, st.frozensets(st.sampled_from((*PASSIVE, *ACTIVE))))


def judged(
    states: Mapping[str, str], runs: Mapping[str, str], needed: frozenset[str]
) -> tuple[Verdict, Mapping[str, Finding]]:
    rules = {
        check: replace(
            CATEGORY.checks.get(check, CheckPolicy()),
            enabled=True,
            needed=check in needed,
            asked=check in needed,
        )
        for check in (*PASSIVE, *ACTIVE)
    }
    category = replace(CATEGORY, checks=rules)
    scene = together(states).scene(category)
    closed = replace(scene.facts.node, admission=Admission.GATED)
    facts = replace(scene.facts, node=closed)
    ran = diagnoses(runs, closed).findings(facts, category)
    found = check_all(replace(scene, facts=replace(facts, findings=(*facts.findings, *ran))))
    return verdict_of(found), {finding.check: finding for finding in found}


@given(states, runs, needs)
def test_no_combination_with_an_unreadable_needed_check_admits(
    states: dict[str, str], runs: dict[str, str], needed: frozenset[str]
) -> None:
    verdict, found = judged(states, runs, needed)
    unread = {check for check in needed if states.get(check) in ("can't be read", "is told by nobody")}
    unread |= {check for check in needed if check in runs and runs[check] not in FOUND_OUT}
    if states["conditions"] == "is told by nobody":
        unread.discard("conditions")  # which is none that is bad
    assert not (unread and verdict.admits), unread
    for check in unread:
        assert found[check].verdict is not Verdict.PASS
    if states["xid"] == "fails" and states["telemetry"] != "is told by nobody":
        assert verdict is Verdict.FAIL


@given(runs)
def test_an_active_check_passes_only_where_it_ran_to_its_end_on_this_boot(runs: dict[str, str]) -> None:
    verdict, found = judged(dict.fromkeys(PASSIVE, "passes"), runs, frozenset((*PASSIVE, *ACTIVE)))
    said = {FOUND_OUT.get(how, Verdict.UNKNOWN) for how in runs.values()}
    order = (Verdict.PASS, Verdict.WARN, Verdict.UNKNOWN, Verdict.FAIL)
    assert {check: found[check].verdict for check in runs} == {
        check: FOUND_OUT.get(how, Verdict.UNKNOWN) for check, how in runs.items()
    }
    assert verdict is max(said, key=order.index)


def test_where_everything_passes_the_node_is_admitted() -> None:
    everything = frozenset((*PASSIVE, *ACTIVE))
    verdict, found = judged(dict.fromkeys(PASSIVE, "passes"), dict.fromkeys(ACTIVE, "passed"), everything)
    assert verdict is Verdict.PASS
    assert set(found) == everything
