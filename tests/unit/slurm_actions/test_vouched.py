"""What people vouched for, as a Slurm node's note keeps it: beside the holds, and without closing or opening anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from backends.slurm.closing import attest
from backends.slurm.our_note import read_note
from fleet.health import Acceptance, Repair
from fleet.plan import Attest
from tests.clocks import START
from tests.unit.slurm_actions.test_closing import IDLE, applied, closed

WORD = Acceptance("telemetry", "oncall@desk", "power event", START, START + timedelta(hours=4))
REPAIR = Repair("oncall@desk", "new GPU 3", START, "gate d1 2026-03-01T02:00:00+00:00")


def test_an_acceptance_is_written_and_leaves_the_node_as_open_or_closed_as_it_was() -> None:
    for seen in (IDLE, closed()):
        change = attest(seen, Attest(START, acceptance=WORD))
        assert (change.state, change.reason) == ("", "")
        after = applied(seen, change)
        assert (after.flags, after.base, after.reason) == (seen.flags, seen.base, seen.reason)
        note = read_note(after.extra)
        assert note.acceptances() == (WORD,)
        assert note.held() == seen.note.held()
        assert not attest(after, Attest(START, acceptance=WORD)).needed


def test_one_of_the_same_check_takes_its_place_and_what_has_ended_goes() -> None:
    first = applied(IDLE, attest(IDLE, Attest(START, acceptance=WORD)))
    longer = replace(WORD, until=START + timedelta(hours=6))
    second = applied(first, attest(first, Attest(START, acceptance=longer)))
    assert read_note(second.extra).acceptances() == (longer,)
    later = START + timedelta(hours=7)
    other = Acceptance("xid", "oncall@desk", "known", later, later + timedelta(hours=1))
    third = applied(second, attest(second, Attest(later, acceptance=other)))
    assert read_note(third.extra).acceptances() == (other,)


def test_a_repair_is_written_and_read_back() -> None:
    after = applied(IDLE, attest(IDLE, Attest(START, repair=REPAIR)))
    assert read_note(after.extra).repaired() == REPAIR


def test_an_acceptance_without_its_times_accepts_nothing() -> None:
    note = read_note('{"quarterdeck":{"accepted":[{"check":"xid","by":"x"}],"repair":{"by":"x","says":"y"}}}')
    assert note.acceptances() == ()
    assert note.repaired() is None
