"""The `gate` annotation: a verdict with the findings that failed, small enough to live on a Node.

The full record is in the journal; this one is what a colleague sees on the node, at most 4 KiB.
"""

from __future__ import annotations

import msgspec

from backends.kubernetes.stamps import read_stamp, stamp
from fleet.health import Finding, GateRecord, Verdict, counts_for_nothing
from fleet.text import clean

LIMIT = 4096
_TEXT = 200


class FindingNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding that did not pass, its texts trimmed. `needed` is written where it is not."""

    check: str = ""
    verdict: str = ""
    value: str = ""
    threshold: str = ""
    source: str = ""
    at: str = ""
    clears: str = ""
    needed: bool = True


class GateNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """The annotation. `more` counts findings that did not fit."""

    verdict: str = ""
    failing: list[FindingNote] = []
    digest: str = ""
    at: str = ""
    by: str = ""
    boot: str = ""
    policy: str = ""
    more: int = 0


def write_gate(record: GateRecord) -> str:
    """The annotation's value: findings that did not pass, worst first, as many as fit into 4 KiB."""
    failing = [
        finding
        for finding in record.findings
        if finding.verdict is not Verdict.PASS and not counts_for_nothing(finding)
    ]
    failing.sort(key=lambda finding: (finding.verdict is not Verdict.FAIL, not finding.needed))
    notes = [_note(finding) for finding in failing]
    kept = len(notes)
    while len(text := _text_of(record, notes, kept)) > LIMIT and kept:
        kept -= 1
    return text.decode()


def read_gate(text: str | None) -> GateRecord | None:
    """The record in the annotation; None where there is none, or none that can be read. Nothing in it raises."""
    if not text:
        return None
    try:
        note = msgspec.json.decode(text, type=GateNote)
        verdict = Verdict(note.verdict)
    except (msgspec.DecodeError, UnicodeEncodeError, ValueError):
        return None
    findings = tuple(_finding(line) for line in note.failing[:100])
    return GateRecord(
        verdict,
        findings,
        read_stamp(note.at),
        clean(note.by, _TEXT),
        clean(note.digest, _TEXT),
        clean(note.boot, _TEXT),
        clean(note.policy, _TEXT),
    )


def same_finding(text: str | None, record: GateRecord) -> bool:
    """Whether the annotation says already what `record` says, whenever and by whomever it was found."""
    there = read_gate(text)
    if there is None or there.verdict is not record.verdict or there.digest != _fit(record.digest):
        return False
    if there.boot_id != _fit(record.boot_id):
        return False
    fresh = read_gate(write_gate(record))
    return fresh is not None and _gist(fresh) == _gist(there)


def _text_of(record: GateRecord, notes: list[FindingNote], kept: int) -> bytes:
    return msgspec.json.encode(
        GateNote(
            verdict=record.verdict.value,
            failing=notes[:kept],
            digest=_fit(record.digest),
            at=stamp(record.at),
            by=_fit(record.by),
            boot=_fit(record.boot_id),
            policy=_fit(record.policy),
            more=len(notes) - kept,
        )
    )


def _gist(record: GateRecord) -> list[tuple[str, Verdict]]:
    return [(finding.check, finding.verdict) for finding in record.findings]


def _note(finding: Finding) -> FindingNote:
    return FindingNote(
        check=_fit(finding.check),
        verdict=finding.verdict.value,
        value=_fit(finding.value),
        threshold=_fit(finding.threshold),
        source=_fit(finding.source),
        at=stamp(finding.at),
        clears=_fit(finding.clears),
        needed=finding.needed,
    )


def _finding(note: FindingNote) -> Finding:
    verdicts = {verdict.value: verdict for verdict in Verdict}
    return Finding(
        check=clean(note.check, _TEXT),
        verdict=verdicts.get(note.verdict, Verdict.UNKNOWN),
        value=clean(note.value, _TEXT),
        threshold=clean(note.threshold, _TEXT),
        source=clean(note.source, _TEXT),
        at=read_stamp(note.at),
        clears=clean(note.clears, _TEXT),
        needed=note.needed,
    )


def _fit(text: str) -> str:
    return clean(text, _TEXT)
