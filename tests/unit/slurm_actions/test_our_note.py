"""What we write on a Slurm node: read back whole, beside whatever others keep there."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.slurm.our_note import (
    GATE_LIMIT,
    UNREADABLE,
    Entry,
    Note,
    ours,
    read_gate,
    read_note,
    split,
    write_gate,
)
from fleet.errors import Rejected
from fleet.health import Finding, GateRecord, Verdict, failing
from fleet.holder import Hold, HolderKind
from fleet.node import Stage
from tests.clocks import START


def entry(by: str = "oncall", operation: str = "op-1", reason: str = "fan noise") -> Entry:
    hold = Hold(by, reason, verb="drain", operation=operation, since=START)
    return Entry.of(hold, found="open", behind_gate=False)


NOTE = Note(holds=(entry(),), stage="draining", gated=True, image="v2")


@pytest.mark.parametrize(
    "theirs",
    [
        "",
        '{"instance": {"id": 7}, "rack": "a"}',
        "{}",
        "rack 7, see ticket",
        "[1, 2]",
        "quarterdeck",
        "{broken",
    ],
)
def test_a_note_is_read_back_and_what_others_keep_there_stays(theirs: str) -> None:
    text = split(theirs).text(NOTE)
    assert read_note(text) == NOTE
    without = split(text).text(Note())
    assert without == theirs or json.loads(without or "{}") == json.loads(theirs)


def test_a_json_object_stays_one_with_its_members_as_they_were() -> None:
    text = split('{"z": 1.50, "a": "x"}').text(NOTE)
    assert list(json.loads(text)) == ["z", "a", "quarterdeck"]
    assert "1.50" in text


def test_the_note_is_found_in_the_comment_where_extra_has_none() -> None:
    assert read_note('{"other": 1}', split("a comment").text(NOTE)) == NOTE


@pytest.mark.parametrize("body", ["7", '{"holds": 7}', '"text"', "[]"])
def test_a_note_that_nobody_can_read_counts_as_a_hold_and_is_kept(body: str) -> None:
    note = read_note(f'{{"quarterdeck": {body}}}')
    (hold,) = note.held()
    assert (hold.by, hold.kind) == (UNREADABLE, HolderKind.UNNAMED)
    assert read_note(split("").text(note)).lost == body


@given(st.text(), st.text())
def test_no_text_of_others_breaks_the_reading(extra: str, comment: str) -> None:
    assert isinstance(read_note(extra, comment), Note)
    text = split(extra).text(NOTE)
    assert read_note(text) == NOTE


@given(st.text(max_size=500))
def test_no_name_or_reason_breaks_the_writing(text: str) -> None:
    note = Note(holds=(entry(by=text, reason=text),))
    written = split("").text(note)
    assert "\n" not in written
    assert read_note(written).of("op-1") == note.holds[0]


def test_a_list_of_holds_without_end_is_refused() -> None:
    note = Note(holds=tuple(entry(operation=f"op-{number}", reason="x" * 200) for number in range(40)))
    with pytest.raises(Rejected, match="too many holds"):
        split("").text(note, node="gpu1")


def test_the_gates_record_keeps_what_failed_and_stays_small() -> None:
    findings = (
        Finding("ready", Verdict.PASS, "ready"),
        *(Finding(f"check-{number}", Verdict.UNKNOWN, "x" * 300) for number in range(50)),
        Finding("xid", Verdict.FAIL, "79", "none"),
    )
    note = write_gate(GateRecord(Verdict.FAIL, findings, START, "oncall", "abc", "boot-1"))
    assert len(split("").text(Note(gate=note))) < GATE_LIMIT + 40
    record = Note(gate=note).record()
    assert record is not None
    assert (record.verdict, record.findings[0].check, record.boot_id) == (Verdict.FAIL, "xid", "boot-1")
    assert note.more > 0


def test_a_colleague_reads_which_unknown_checks_did_not_keep_it_closed() -> None:
    unknown = Finding("temperature", Verdict.UNKNOWN, "told by 7 of 8 GPUs", needed=False)
    needed = Finding("telemetry", Verdict.UNKNOWN, "7 GPUs reporting")
    failed = Finding("gpus", Verdict.FAIL, "7", "8")
    read = read_gate(write_gate(GateRecord(Verdict.FAIL, (unknown, needed, failed), START)))
    assert read is not None
    assert read.findings == (failed, needed, unknown)
    assert failing(read.findings) == "gpus FAIL (7, wants 8); telemetry UNKNOWN (7 GPUs reporting)"


def test_a_stage_of_nobodys_is_no_stage() -> None:
    assert Note(stage="drained").known_stage is Stage.DRAINED
    assert Note(stage="sleeping").known_stage is None


def test_a_reason_is_ours_by_how_it_begins() -> None:
    assert ours("quarterdeck: fan noise (oncall) : reboot issued")
    assert not ours("NHC: quarterdeck: fan noise")
