"""The verdict as it is kept on a node."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backends.kubernetes.gate_note import LIMIT, read_gate, same_finding, write_gate
from fleet.health import Finding, GateRecord, Verdict, failing

AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
BAD = Finding("gpus", Verdict.FAIL, "7", "8", "the node's allocatable", AT, "a reset")
GOOD = Finding("ready", Verdict.PASS, "True")
RECORD = GateRecord(Verdict.FAIL, (GOOD, BAD), AT, "oncall", "d1", "boot-1")


def test_only_what_did_not_pass_is_kept() -> None:
    read = read_gate(write_gate(RECORD))
    assert read == replace(RECORD, findings=(BAD,))


def test_a_colleague_reads_which_unknown_checks_did_not_keep_it_closed() -> None:
    unknown = Finding("temperature", Verdict.UNKNOWN, "told by 7 of 8 GPUs", needed=False)
    needed = Finding("telemetry", Verdict.UNKNOWN, "7 GPUs reporting")
    text = write_gate(replace(RECORD, findings=(unknown, needed, BAD)))
    read = read_gate(text)
    assert read is not None
    assert read.findings == (BAD, needed, unknown)
    assert failing(read.findings) == "gpus FAIL (7, wants 8); telemetry UNKNOWN (7 GPUs reporting)"
    assert '"needed":true' not in text


def test_what_a_check_printed_is_not_kept_on_the_node() -> None:
    text = write_gate(replace(RECORD, findings=(replace(BAD, tail=("GPU 3: row 7 differs",)),)))
    assert text == write_gate(replace(RECORD, findings=(BAD,)))


def test_it_stays_within_its_size_and_keeps_the_failures_first() -> None:
    many = tuple(
        Finding(f"check-{number}", Verdict.UNKNOWN, "v" * 5000, clears="\u00e9" * 5000)
        for number in range(100)
    )
    text = write_gate(replace(RECORD, findings=(*many, BAD)))
    assert len(text.encode()) <= LIMIT
    read = read_gate(text)
    assert read is not None
    assert read.findings[0].check == "gpus"


@pytest.mark.parametrize("text", [None, "", "x", "[]", "{}", '{"verdict": "MAYBE"}', '{"verdict": 3}'])
def test_a_record_that_cannot_be_read_is_no_record(text: str | None) -> None:
    assert read_gate(text) is None


def test_the_same_verdict_found_again_is_no_change() -> None:
    text = write_gate(RECORD)
    later = replace(RECORD, at=AT.replace(hour=4), by="colleague")
    assert same_finding(text, later)
    assert not same_finding(text, replace(later, digest="d2"))
    assert not same_finding(text, replace(later, verdict=Verdict.PASS))
    assert not same_finding(text, replace(later, findings=(replace(BAD, check="xid"),)))
