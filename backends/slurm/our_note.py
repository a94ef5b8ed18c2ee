"""What Quarterdeck writes on a Slurm node: its holds, the stage, the gate's record and the image wanted, as one JSON note.

It lives in Extra (Comment where Slurm has no Extra), which outlive a restart of the controller, beside whatever others keep
there: a JSON object gains one key, any other text is kept in front. The note travels with every `show nodes`, so it is small.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from backends.slurm.stamps import read_stamp, stamp
from fleet.errors import Rejected
from fleet.health import Acceptance, Finding, GateRecord, Repair, Verdict, counts_for_nothing
from fleet.holder import Hold, HolderKind
from fleet.node import Stage
from fleet.text import clean

KEY = "quarterdeck"
REASON_PREFIX = f"{KEY}: "
"""How a Reason of ours begins. Slurm itself adds ` : reboot issued` and the like at its end."""
TEXT = 200
NOTE_LIMIT = 8 * 1024
GATE_LIMIT = 1024
UNREADABLE = "unreadable hold"
"""The name under which a note that can't be read is shown and taken over."""

_STAGES = {stage.value: stage for stage in Stage}
_SUFFIX = re.compile(rf"(?:^|\s){KEY}=(?=\{{)")


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One of our holds. `behind_gate`: the node was closed for a gate, so that a gate that passes lifts it."""

    by: str = ""
    verb: str = ""
    operation: str = ""
    reason: str = ""
    since: str = ""
    found: str = ""
    step: str = ""
    plan: str = ""
    behind_gate: bool = False

    @classmethod
    def of(cls, hold: Hold, *, found: str, behind_gate: bool) -> Entry:
        """The entry of a hold, its texts trimmed; `found` is the admission it finds now."""
        return cls(
            by=_fit(hold.by),
            verb=hold.verb,
            operation=_fit(hold.operation),
            reason=_fit(hold.reason),
            since=stamp(hold.since),
            found=found,
            step=_fit(hold.step),
            plan=hold.plan_hash,
            behind_gate=behind_gate,
        )

    def hold(self) -> Hold:
        """The hold as the fleet knows it, its texts cleaned for a screen."""
        return Hold(
            by=_fit(self.by),
            reason=_fit(self.reason),
            kind=HolderKind.OURS,
            verb=_fit(self.verb),
            operation=_fit(self.operation),
            since=read_stamp(self.since),
            found=_fit(self.found),
            step=_fit(self.step),
            plan_hash=_fit(self.plan),
        )


class FindingNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding that did not pass, its texts trimmed. `needed` is written where it is not."""

    check: str = ""
    verdict: str = ""
    value: str = ""
    threshold: str = ""
    clears: str = ""
    needed: bool = True


class GateNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """The verdict, in at most 1 KiB. `more` counts findings that did not fit; the full record is in the journal."""

    verdict: str = ""
    failing: tuple[FindingNote, ...] = ()
    digest: str = ""
    at: str = ""
    by: str = ""
    boot: str = ""
    more: int = 0
    policy: str = ""


class AcceptanceNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check that a person lets stay unknown for a time, its texts trimmed."""

    check: str = ""
    by: str = ""
    reason: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, word: Acceptance) -> AcceptanceNote:
        return cls(_fit(word.check), _fit(word.by), _fit(word.reason), stamp(word.since), stamp(word.until))

    def acceptance(self) -> Acceptance | None:
        """The acceptance; None without both its times, or a check."""
        since, until = read_stamp(self.since), read_stamp(self.until)
        if since is None or until is None or not self.check:
            return None
        return Acceptance(_fit(self.check), _fit(self.by), _fit(self.reason), since, until)


class RepairNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person says was mended; `answers` names the fault that it is evidence for."""

    by: str = ""
    says: str = ""
    at: str = ""
    answers: str = ""

    @classmethod
    def of(cls, repair: Repair) -> RepairNote:
        return cls(_fit(repair.by), _fit(repair.says), stamp(repair.at), _fit(repair.answers))

    def repair(self) -> Repair | None:
        """The repair; None without its time."""
        at = read_stamp(self.at)
        return None if at is None else Repair(_fit(self.by), _fit(self.says), at, _fit(self.answers))


class SavedReason(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody else's Reason, whose user and time a change of ours made Slurm forget."""

    text: str = ""
    by: str = ""
    at: str = ""


class Note(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The whole note. `gated`: behind the gate; `lost`: an earlier note that nobody can read.

    `image` is what a reimage wants, `wanted_by` its operation, and `boot` the boot that it was asked in.
    """

    holds: tuple[Entry, ...] = ()
    stage: str = ""
    gated: bool = False
    gate: GateNote | None = None
    image: str = ""
    boot: str = ""
    wanted_by: str = ""
    saved: SavedReason | None = None
    lost: str = ""
    accepted: tuple[AcceptanceNote, ...] = ()
    repair: RepairNote | None = None

    @property
    def empty(self) -> bool:
        return self == Note()

    @property
    def known_stage(self) -> Stage | None:
        """The stage written here; None where there is none, or none of ours."""
        return _STAGES.get(self.stage)

    def held(self) -> tuple[Hold, ...]:
        """Every hold written here, in order; what can't be read is an unnamed one."""
        lost = Hold(UNREADABLE, "written by something that we can't read", HolderKind.UNNAMED)
        return tuple(entry.hold() for entry in self.holds) + ((lost,) if self.lost else ())

    def of(self, operation: str) -> Entry | None:
        """The hold of one operation."""
        return next((entry for entry in self.holds if entry.operation == operation != ""), None)

    def acceptances(self) -> tuple[Acceptance, ...]:
        """What people accepted; what can't be read is left out."""
        return tuple(word for note in self.accepted if (word := note.acceptance()) is not None)

    def repaired(self) -> Repair | None:
        """What a person says was mended; None where nobody did, or it can't be read."""
        return self.repair.repair() if self.repair is not None else None

    def record(self) -> GateRecord | None:
        """What the last gate found; None where none is written, or none that can be read."""
        return read_gate(self.gate)


@dataclass(frozen=True, slots=True)
class Split:
    """A field's text: what is others' (JSON object members or plain text), and our note in it."""

    note: Note
    members: dict[str, msgspec.Raw] | None = None
    plain: str = ""

    def text(self, note: Note, *, node: str = "") -> str:
        """The field's text with `note` in place of ours. Raises Rejected where the note grew too long."""
        body = b"" if note.empty else msgspec.json.encode(note)
        if len(body) > NOTE_LIMIT:
            says = f"too many holds are on it: {len(note.holds)}, {len(body)} bytes"
            raise Rejected(says, about=node)
        if self.plain:
            return f"{self.plain} {KEY}={body.decode()}" if body else self.plain
        members = dict(self.members or {}) | ({KEY: msgspec.Raw(body)} if body else {})
        return msgspec.json.encode(members).decode() if members or self.members is not None else ""


def split(text: str) -> Split:
    """A field's text taken apart. Nothing in it raises."""
    if not text.strip():
        return Split(Note())
    try:
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return _split_plain(text)
    own = members.pop(KEY, None)
    if own is None:
        return Split(Note(), members)
    return Split(_read(bytes(own)), members or None)


def read_note(extra: str, comment: str = "") -> Note:
    """Our note, wherever it stands: in Extra, else in Comment. An empty one where there is none."""
    found = split(extra).note
    return split(comment).note if found.empty else found


def ours(reason: str) -> bool:
    """Whether a Reason was written by Quarterdeck."""
    return reason.startswith(REASON_PREFIX)


def write_gate(record: GateRecord) -> GateNote:
    """The note of a record: findings that did not pass, worst first, as many as fit into 1 KiB."""
    failing = [
        finding
        for finding in record.findings
        if finding.verdict is not Verdict.PASS and not counts_for_nothing(finding)
    ]
    failing.sort(key=lambda finding: (finding.verdict is not Verdict.FAIL, not finding.needed))
    count = len(failing)
    while count and len(msgspec.json.encode(_gate_note(record, failing, count))) > GATE_LIMIT:
        count -= 1
    return _gate_note(record, failing, count)


def read_gate(note: GateNote | None) -> GateRecord | None:
    """The record of a note; None where there is none, or its verdict is none of ours."""
    if note is None or note.verdict not in {verdict.value for verdict in Verdict}:
        return None
    findings = tuple(_finding(line) for line in note.failing[:100])
    at = read_stamp(note.at)
    return GateRecord(
        Verdict(note.verdict),
        findings,
        at,
        _fit(note.by),
        _fit(note.digest),
        _fit(note.boot),
        _fit(note.policy),
    )


def _split_plain(text: str) -> Split:
    """Text of others, with ` quarterdeck={...}` at its end where a note is there."""
    at = next(reversed(list(_SUFFIX.finditer(text))), None)
    if at is None:
        return Split(Note(), plain=text)
    return Split(_read(text[at.end() :].encode(errors="replace")), plain=text[: at.start()])


def _read(body: bytes) -> Note:
    try:
        return msgspec.json.decode(body, type=Note)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Note(lost=clean(body.decode(errors="replace"), NOTE_LIMIT // 4))


def _gate_note(record: GateRecord, failing: Sequence[Finding], count: int) -> GateNote:
    return GateNote(
        verdict=record.verdict.value,
        failing=tuple(_finding_note(finding) for finding in failing[:count]),
        digest=_fit(record.digest),
        at=stamp(record.at),
        by=_fit(record.by),
        boot=_fit(record.boot_id),
        more=len(failing) - count,
        policy=_fit(record.policy),
    )


def _finding_note(finding: Finding) -> FindingNote:
    return FindingNote(
        check=_fit(finding.check),
        verdict=finding.verdict.value,
        value=_fit(finding.value),
        threshold=_fit(finding.threshold),
        clears=_fit(finding.clears),
        needed=finding.needed,
    )


def _finding(note: FindingNote) -> Finding:
    verdicts = {verdict.value: verdict for verdict in Verdict}
    return Finding(
        check=_fit(note.check),
        verdict=verdicts.get(note.verdict, Verdict.UNKNOWN),
        value=_fit(note.value),
        threshold=_fit(note.threshold),
        clears=_fit(note.clears),
        needed=note.needed,
    )


def _fit(text: str) -> str:
    return clean(text, TEXT)
