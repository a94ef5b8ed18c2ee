"""What a person may vouch for at a gate, for how long it counts, and what it never does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.category import CheckPolicy
from fleet.evidence import fault_of
from fleet.gate import check_all
from fleet.gate_checks import ACCEPTABLE, CHECKS
from fleet.health import Acceptance, Finding, GateRecord, Repair, Verdict, digest, failing, verdict_of
from fleet.holder import Hold, HolderKind
from fleet.node import Admission, Node, Stage
from fleet.plan import Attest, Check, Ground, NodeFacts, NodePlan, Plan, SourceIdentity, Verb
from fleet.planning import plan
from fleet.policy import Policy
from tests.clocks import START
from tests.fakes import key, node, request
from tests.unit.test_gate import FAULT, NODE, found, gpus, scene, with_checks

NEEDS_ECC = with_checks(ecc_dbe=CheckPolicy())
WORD = Acceptance(
    "ecc-dbe", "oncall@desk", "power event", START - timedelta(hours=1), START + timedelta(hours=1)
)


def planned(of: Node | None = None, policy: Policy | None = None, **options: Any) -> Plan:
    facts = NodeFacts(of or node(), "1")
    ground = Ground({key("gpu-1"): facts}, {"lab": SourceIdentity("lab", "cluster-1")})
    return plan(request(Verb.GATE, **options), ground, policy or Policy(), START)


def only(made: Plan) -> NodePlan:
    (share,) = made.nodes
    return share


def test_an_accepted_check_stays_unknown_and_only_warns() -> None:
    accepted = replace(NODE, accepted=(WORD,))
    finding = found("ecc-dbe", node=accepted, category=NEEDS_ECC)
    assert (finding.verdict, finding.accepted) == (Verdict.UNKNOWN, WORD)
    assert verdict_of(check_all(scene(category=NEEDS_ECC))) is Verdict.UNKNOWN
    findings = check_all(scene(node=accepted, category=NEEDS_ECC))
    assert verdict_of(findings) is Verdict.WARN
    assert failing(findings) == ""
    assert digest(findings) != digest(check_all(scene(category=NEEDS_ECC)))


@pytest.mark.parametrize(
    "word",
    [
        replace(WORD, until=START),
        replace(WORD, check="ecc-sbe"),
        replace(WORD, since=START - timedelta(hours=25), until=START + timedelta(hours=9)),
        replace(WORD, since=START + timedelta(hours=1), until=START + timedelta(hours=2)),
        replace(WORD, since=START + timedelta(days=400), until=START + timedelta(days=401)),
    ],
)
def test_a_word_that_ended_or_is_too_long_or_of_another_check_counts_no_more(word: Acceptance) -> None:
    assert (
        verdict_of(check_all(scene(node=replace(NODE, accepted=(word,)), category=NEEDS_ECC)))
        is Verdict.UNKNOWN
    )


def test_a_clock_that_runs_a_little_ahead_is_forgiven() -> None:
    word = replace(WORD, since=START + timedelta(minutes=4))
    accepted = replace(NODE, accepted=(word,))
    assert verdict_of(check_all(scene(node=accepted, category=NEEDS_ECC))) is Verdict.WARN


def test_a_failing_check_is_not_accepted() -> None:
    accepted = replace(NODE, accepted=(replace(WORD, check="gpus"),), gpus_allocatable=1)
    finding = found("gpus", node=accepted)
    assert (finding.verdict, finding.accepted) == (Verdict.FAIL, None)
    assert verdict_of(check_all(scene(node=accepted))) is Verdict.FAIL


def test_evidence_is_never_accepted() -> None:
    unknown = replace(
        NODE,
        stage=Stage.QUARANTINED,
        gate=replace(FAULT, boot_id=""),
        accepted=tuple(replace(WORD, check=check) for check in CHECKS),
    )
    finding = found("evidence", node=unknown)
    assert (finding.verdict, finding.accepted) == (Verdict.UNKNOWN, None)
    assert "evidence" not in ACCEPTABLE


def test_an_acceptance_is_written_before_the_check_and_typed() -> None:
    made = planned(accept="ecc-dbe", accept_for=timedelta(hours=4))
    first, second = only(made).steps
    assert isinstance(first.action, Attest)
    assert first.action.acceptance == Acceptance(
        "ecc-dbe", "oncall@desk", "maintenance", START, START + timedelta(hours=4)
    )
    assert isinstance(second.action, Check)
    assert made.free_to_run
    assert made.typed
    assert not planned().typed


def test_without_a_time_an_acceptance_lasts_a_shift_and_never_longer_than_the_policy() -> None:
    def until(policy: Policy) -> datetime:
        action = only(planned(policy=policy, accept="xid")).steps[0].action
        assert isinstance(action, Attest)
        assert action.acceptance is not None
        return action.acceptance.until

    assert until(Policy()) == START + timedelta(hours=8)
    assert until(Policy(accept_at_most=timedelta(hours=2))) == START + timedelta(hours=2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"accept": "xid", "accept_for": timedelta(hours=25)}, "at most 24 h"),
        ({"accept": "xid", "accept_until": START + timedelta(days=2)}, "at most 24 h"),
        ({"accept": "xid", "accept_until": START}, "would have ended"),
        ({"accept": "evidence"}, "no check that can be accepted"),
        ({"accept": "nothing"}, "no check that can be accepted"),
        ({"accept": "xid", "check_only": True}, "writes nothing"),
        ({"repaired": "new GPU", "check_only": True}, "writes nothing"),
        ({"repaired": "new GPU"}, "no fault on record"),
    ],
)
def test_what_may_not_be_vouched_for_blocks_the_plan(options: dict[str, Any], says: str) -> None:
    made = planned(**options)
    assert not made.free_to_run
    assert any(says in blocker.says for blocker in made.all_blockers)


def test_the_hash_covers_what_is_vouched_for_and_not_the_time_it_is_said() -> None:
    hashes = {
        planned().hash,
        planned(accept="xid").hash,
        planned(accept="ecc-dbe").hash,
        planned(accept="xid", accept_for=timedelta(hours=1)).hash,
    }
    assert len(hashes) == 4
    assert planned(accept="xid").hash == planned(accept="xid").hash


QUARANTINED = replace(NODE, key=key("gpu-1"), stage=Stage.QUARANTINED, admission=Admission.GATED, gate=FAULT)


def repaired(of: Node, **changes: Any) -> Node:
    repair = Repair("oncall@desk", "new GPU 3", START, fault_of(of))
    return replace(of, repair=replace(repair, **changes))


def test_a_repair_lifts_the_fault_that_it_answers() -> None:
    assert found("evidence", node=QUARANTINED).verdict is Verdict.FAIL
    finding = found("evidence", node=repaired(QUARANTINED))
    assert finding.verdict is Verdict.PASS
    assert finding.value == "repaired: new GPU 3 (oncall@desk, 2026-03-01 03:00 UTC)"


@pytest.mark.parametrize("answers", ["", "gate", "gate other 2026-03-01T02:30:00+00:00", "step"])
def test_a_repair_of_another_fault_lifts_nothing(answers: str) -> None:
    assert found("evidence", node=repaired(QUARANTINED, answers=answers)).verdict is Verdict.FAIL


def test_a_fault_found_again_after_a_repair_asks_for_another() -> None:
    mended = repaired(QUARANTINED)
    again = replace(FAULT, at=START + timedelta(minutes=5))
    assert found("evidence", node=replace(mended, gate=again)).verdict is Verdict.FAIL


def test_a_repair_is_no_word_on_an_xid_that_came_after_it() -> None:
    """Minutes apart, clocks decide nothing: the repair is dated by the machine where it was typed."""
    aged = with_checks(xid=CheckPolicy(window=timedelta(minutes=1)))
    mended = repaired(QUARANTINED, at=START - timedelta(hours=1))
    for ago, verdict in ((30, Verdict.FAIL), (58, Verdict.PASS), (90, Verdict.PASS)):
        shows = gpus(xid=79, xid_at=START - timedelta(minutes=ago))
        assert found("evidence", node=mended, rows=shows, category=aged).verdict is verdict


def test_a_repair_is_noted_for_the_fault_on_record() -> None:
    made = planned(QUARANTINED, repaired="new GPU 3")
    action = only(made).steps[0].action
    assert isinstance(action, Attest)
    assert action.repair == Repair("oncall@desk", "new GPU 3", START, fault_of(QUARANTINED))
    assert made.typed


def test_a_repair_lifts_a_quarantine_that_a_failed_step_left() -> None:
    hold = Hold("oncall", kind=HolderKind.OURS, since=START - timedelta(hours=1))
    left = replace(NODE, key=key("gpu-1"), stage=Stage.QUARANTINED, holds=(hold,))
    assert found("evidence", node=left).verdict is Verdict.UNKNOWN
    assert found("evidence", node=repaired(left)).verdict is Verdict.PASS
    later = replace(repaired(left), holds=(replace(hold, since=START),))
    assert found("evidence", node=later).verdict is Verdict.UNKNOWN


def test_a_repair_is_no_word_on_what_still_fails() -> None:
    still = replace(repaired(QUARANTINED), gpus_allocatable=1)
    assert verdict_of(check_all(scene(node=still))) is Verdict.FAIL


@pytest.mark.parametrize("boot", ["boot-2", "boot-1"])
@pytest.mark.parametrize("xid", [0, 79])
@pytest.mark.parametrize("noted", [True, False])
def test_only_a_boot_or_a_repair_lifts_a_quarantine_and_only_when_the_sign_is_gone(
    boot: str, xid: int, noted: bool
) -> None:
    from tests.unit.test_gate import gpus

    quarantined = replace(QUARANTINED, boot_id=boot)
    findings = check_all(scene(node=repaired(quarantined) if noted else quarantined, rows=gpus(xid=xid)))
    admits = xid == 0 and (boot == "boot-2" or noted)
    assert verdict_of(findings).admits is admits


@given(
    verdicts=st.lists(
        st.tuples(st.sampled_from(Verdict), st.booleans(), st.booleans(), st.booleans()), max_size=6
    )
)
def test_no_word_makes_a_pass_of_what_is_unknown(
    verdicts: list[tuple[Verdict, bool, bool, bool]],
) -> None:
    findings = [
        Finding(str(number), verdict, needed=needed, absent=absent, accepted=WORD if word else None)
        for number, (verdict, needed, absent, word) in enumerate(verdicts)
    ]
    verdict = verdict_of(findings)
    unknown = [each for each in findings if each.verdict is Verdict.UNKNOWN and each.needed]
    if unknown:
        assert verdict is not Verdict.PASS
    if any(each.accepted is None for each in unknown):
        assert not verdict.admits
    if any(each.verdict is Verdict.FAIL for each in findings):
        assert verdict is Verdict.FAIL


def test_a_record_names_the_rules_it_was_judged_by() -> None:
    one, other = Policy(), Policy(accept_at_most=timedelta(hours=1))
    h100 = one.category("h100")
    assert one.rules_digest(h100) == Policy().rules_digest(h100) != other.rules_digest(h100)
    stricter = replace(h100, checks={"ecc-dbe": CheckPolicy(limit=1)})
    assert one.rules_digest(stricter) != one.rules_digest(h100)
    assert GateRecord(Verdict.PASS).policy == ""
