"""What each change of admission makes of a Slurm node: nobody's Reason is replaced, and opening waits for every hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.slurm.closing import Change, apply_verdict, close, mark, release, retired, shut_again
from backends.slurm.our_note import UNREADABLE, Note, read_note, split
from backends.slurm.seen import Seen
from fleet.errors import Conflict, Rejected
from fleet.health import Finding, GateRecord, Verdict
from fleet.holder import Hold, HolderKind
from fleet.node import Stage
from fleet.plan import ApplyVerdict, Close, Mark, Release
from tests.clocks import START

IDLE = Seen("gpu1", "IDLE", boot="2026-03-01T02:00:00+00:00")
THEIRS = Hold("root", "fans", HolderKind.UNNAMED, since=START)
NHC = replace(
    IDLE, flags=frozenset({"DRAIN"}), reason="fans", reason_by="root", reason_at=START, foreign=(THEIRS,)
)
DEAD = replace(
    IDLE,
    base="DOWN",
    flags=frozenset({"NOT_RESPONDING"}),
    reason="Not responding",
    reason_by="slurm",
    foreign=(Hold("slurm", "Not responding", HolderKind.CONTROLLER),),
)


def hold(verb: str = "drain", by: str = "oncall", operation: str = "op-1", reason: str = "dust") -> Hold:
    return Hold(by, reason, verb=verb, operation=operation, since=START)


def applied(seen: Seen, change: Change) -> Seen:
    """The node as Slurm (22.05.8) makes it of a change."""
    fields: dict[str, str] = {}
    for part in change.argv()[3:]:
        key, _, fields[key] = part.partition("=")
    flags, base, reason = set(seen.flags), seen.base, fields.get("Reason", seen.reason)
    match fields.get("State"):
        case "DRAIN":
            flags = (flags | {"DRAIN"}) - {"FAIL"}
        case "DOWN":
            base = "DOWN"
        case "UNDRAIN":
            flags -= {"DRAIN"}
            reason = reason if base == "DOWN" else ""
        case "RESUME":
            flags, base, reason = {"NOT_RESPONDING"}, "IDLE", ""
    foreign = seen.foreign if reason == seen.reason else ()
    extra = fields.get("Extra", seen.extra)
    return replace(seen, base=base, flags=frozenset(flags), reason=reason, extra=extra, foreign=foreign)


def closed(seen: Seen = IDLE, action: Close | None = None) -> Seen:
    return applied(seen, close(seen, action or Close(hold(), Stage.DRAINING)))


def record(verdict: Verdict) -> GateRecord:
    return GateRecord(verdict, (Finding("ready", verdict, "x"),), START, "oncall", verdict.value, "boot-1")


def test_closing_an_open_node_drains_it_with_our_reason_and_our_hold_in_one_command() -> None:
    change = close(IDLE, Close(hold(), Stage.DRAINING))
    argv = change.argv()
    assert argv[:4] == ("scontrol", "update", "NodeName=gpu1", "State=DRAIN")
    assert argv[4] == "Reason=quarterdeck: dust (oncall, drain)"
    note = read_note(argv[5].removeprefix("Extra="))
    assert (note.stage, note.holds[0].found) == ("draining", "open")


@pytest.mark.parametrize("seen", [IDLE, NHC, DEAD], ids=lambda seen: seen.state)
def test_every_change_leaves_nothing_to_do(seen: Seen) -> None:
    for action in (Close(hold(), Stage.DRAINING), Close(hold("reimage"), Stage.REIMAGING, gate=True)):
        after = applied(seen, close(seen, action))
        assert not close(after, action).needed
        for lifted in (Release(("op-1",)), Release(take_over=("root", "slurm")), Release(open_gate=True)):
            opened = applied(after, release(after, lifted))
            assert not release(opened, lifted).needed
        verdict = ApplyVerdict(record(Verdict.PASS), "op-1", admit=True)
        admitted = applied(after, apply_verdict(after, verdict))
        assert not apply_verdict(admitted, verdict).needed


def test_a_foreign_reason_stays_under_our_hold_and_after_it() -> None:
    after = closed(NHC)
    assert (after.reason, after.note.of("op-1") is not None) == ("fans", True)
    change = release(after, Release(("op-1",)))
    assert change.state == ""
    assert "root (fans)" in change.says
    left = applied(after, change)
    assert (left.drain, left.reason, left.extra) == (True, "fans", "")


def test_taking_over_saves_whose_reason_it_was_before_it_is_erased() -> None:
    after = closed(NHC)
    change = release(after, Release(("op-1",), ("root",)))
    assert change.state == "RESUME"
    assert change.evidence == "Reason was: fans [root at 2026-03-01T03:00:00+00:00]"
    saved = applied(after, change).note.saved
    assert saved is not None
    assert (saved.text, saved.by) == ("fans", "root")


def test_two_holds_open_only_with_the_second_and_the_reason_follows_who_is_left() -> None:
    after = closed(closed(), Close(hold("cordon", "colleague", "op-2", "cable")))
    assert "oncall" in after.reason
    change = release(after, Release(("op-1",)))
    left = applied(after, change)
    assert left.drain
    assert left.reason == "quarterdeck: cable (colleague, cordon)"
    assert left.note.holds[0].found == "open"
    assert release(left, Release(("op-2",))).state == "RESUME"


def test_opening_leaves_nothing_of_ours_behind_and_others_texts_alone() -> None:
    theirs = replace(IDLE, extra='{"rack": 7}')
    after = closed(theirs)
    opened = applied(after, release(after, Release(("op-1",))))
    assert (opened.extra, opened.reason, opened.closed) == ('{"rack":7}', "", False)


def test_an_uncordon_never_goes_round_the_gate() -> None:
    after = closed(IDLE, Close(hold("reimage"), Stage.GATED, gate=True))
    change = release(after, Release(("op-1",), stage=None))
    assert change.state == ""
    assert "gate stays shut" in change.says


def test_a_node_whose_slurmd_is_dead_loses_our_drain_and_stays_down() -> None:
    after = closed(DEAD)
    assert (after.state, after.reason) == ("DOWN+DRAIN+NOT_RESPONDING", "Not responding")
    change = release(after, Release(("op-1",)))
    assert change.state == "UNDRAIN"
    assert "stays DOWN" in change.says


def test_a_drain_that_somebody_else_set_on_a_dead_node_stays() -> None:
    after = closed(replace(DEAD, flags=DEAD.flags | {"DRAIN"}, reason="replace the board"))
    assert release(after, Release(("op-1",))).state == ""


@pytest.mark.parametrize("flag", ["REBOOT_REQUESTED", "REBOOT_ISSUED"])
def test_nothing_is_opened_during_a_reboot(flag: str) -> None:
    after = closed()
    rebooting = replace(after, flags=after.flags | {flag})
    with pytest.raises(Conflict, match="reboot is under way"):
        release(rebooting, Release(("op-1",)))
    with pytest.raises(Conflict, match="reboot is under way"):
        apply_verdict(rebooting, ApplyVerdict(record(Verdict.PASS), "op-1", admit=True))


def test_a_reboot_of_somebody_else_that_would_take_drain_away_is_waited_for() -> None:
    with pytest.raises(Conflict, match="reboot is under way"):
        close(replace(IDLE, flags=frozenset({"REBOOT_REQUESTED"})), Close(hold()))


@pytest.mark.parametrize("flag", ["REBOOT_REQUESTED", "REBOOT_ISSUED"])
def test_a_drain_that_a_reboot_takes_away_is_not_built_on_and_one_that_outlives_it_is(flag: str) -> None:
    rebooting = replace(NHC, flags=NHC.flags | {flag})
    with pytest.raises(Conflict, match="sets it to RESUME"):
        close(replace(rebooting, next_state="RESUME"), Close(hold()))
    assert close(rebooting, Close(hold())).needed


def test_a_drain_that_slurm_ends_by_itself_is_not_built_on() -> None:
    soon = replace(NHC, resumes=START)
    with pytest.raises(Conflict, match="ResumeAfter"):
        close(soon, Close(hold(), Stage.DRAINING))
    failed = ApplyVerdict(record(Verdict.FAIL), "op-1", quarantine=True, hold=hold("gate"))
    with pytest.raises(Conflict, match="ResumeAfter"):
        apply_verdict(soon, failed)
    assert release(closed(NHC), Release(("op-1",))).needed


def test_naming_a_failure_during_a_reboot_changes_the_note_alone() -> None:
    after = closed()
    rebooting = replace(
        after, flags=after.flags | {"REBOOT_ISSUED"}, reason=f"{after.reason} : reboot issued"
    )
    change = close(rebooting, Close(hold(reason="dust (wait: failed)"), again=True))
    assert [part.partition("=")[0] for part in change.argv()[2:]] == ["NodeName", "Extra"]


def test_a_foreign_resume_pauses_our_operation() -> None:
    opened = replace(closed(), flags=frozenset(), reason="")
    with pytest.raises(Conflict, match="opened"):
        close(opened, Close(hold("reimage"), Stage.REIMAGING, gate=True))


def test_a_hold_that_somebody_lifted_is_not_written_again() -> None:
    with pytest.raises(Conflict, match="lifted"):
        close(NHC, Close(hold(), again=True))


def test_a_pass_admits_and_lifts_the_gates_holds_but_no_colleagues() -> None:
    gated = closed(IDLE, Close(hold("reimage"), Stage.GATED, gate=True))
    verdict = ApplyVerdict(record(Verdict.PASS), "op-1", admit=True)
    admitted = applied(gated, apply_verdict(gated, verdict))
    assert not admitted.closed
    assert (admitted.note.holds, admitted.note.gated, admitted.note.stage) == ((), False, "")
    assert admitted.note.gate is not None
    both = closed(gated, Close(hold("cordon", "colleague", "op-2")))
    change = apply_verdict(both, verdict)
    assert change.state == ""
    assert "colleague" in change.says


def test_a_failed_gate_keeps_it_drained_with_the_reason() -> None:
    gated = closed(IDLE, Close(hold("reimage"), Stage.GATED, gate=True))
    fail = ApplyVerdict(
        record(Verdict.FAIL), "op-1", quarantine=True, hold=hold("gate", reason="xid FAIL (79)")
    )
    left = applied(gated, apply_verdict(gated, fail))
    assert left.drain
    assert "xid FAIL (79)" in left.reason
    assert (left.note.stage, len(left.note.holds)) == ("quarantined", 1)


def test_an_unknown_verdict_is_recorded_and_changes_nothing_else() -> None:
    gated = closed(IDLE, Close(hold("reimage"), Stage.GATED, gate=True))
    change = apply_verdict(gated, ApplyVerdict(record(Verdict.UNKNOWN), "op-1"))
    assert (change.state, change.reason) == ("", "")
    assert applied(gated, change).note.record() is not None


def test_a_verdict_can_not_admit_and_quarantine_at_once() -> None:
    with pytest.raises(Rejected):
        apply_verdict(IDLE, ApplyVerdict(record(Verdict.PASS), "op-1", admit=True, quarantine=True))


def test_a_note_that_nobody_can_read_holds_until_it_is_taken_over_by_name() -> None:
    seen = replace(closed(), extra='{"quarterdeck": 7}')
    assert release(seen, Release(("op-1",))).state == ""
    assert release(seen, Release(take_over=(UNREADABLE,))).state == "RESUME"


def test_a_stage_is_marked_alone() -> None:
    change = mark(closed(), Mark(Stage.DRAINED))
    assert (change.state, change.reason, change.note.stage) == ("", "", "drained")


def test_down_only_when_nothing_is_left_on_it() -> None:
    busy = replace(closed(), base="MIXED")
    with pytest.raises(Conflict, match="work is on it"):
        retired(busy)
    assert retired(closed()).state == "DOWN"
    assert not retired(applied(closed(), retired(closed()))).needed


def test_a_reboot_that_slurm_gave_up_is_closed_again_under_its_own_reason() -> None:
    late = replace(IDLE, base="DOWN", reason="quarterdeck: x : reboot issued : reboot timed out")
    assert late.gave_up_reboot
    change = shut_again(late)
    assert (change.state, change.reason) == ("DRAIN", late.reason)


def test_a_text_of_others_that_could_not_be_read_whole_is_left_alone() -> None:
    seen = replace(IDLE, extra="caf\ufffd", comment="rack 7")
    argv = close(seen, Close(hold())).argv()
    assert argv[-1].startswith("Comment=rack 7 quarterdeck=")
    assert split(argv[-1].removeprefix("Comment=")).note != Note()
