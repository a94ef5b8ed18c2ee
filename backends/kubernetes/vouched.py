"""What people vouched for, as annotations on the Node: checks that may stay UNKNOWN for a time, and what was mended.

What can't be read is left out: nobody's word opens a node by being garbled.
"""

from __future__ import annotations

import msgspec

from backends.kubernetes.node_edit import Draft, NodeObject
from backends.kubernetes.our_keys import OurKeys
from backends.kubernetes.stamps import read_stamp, stamp
from fleet.health import Acceptance, Repair
from fleet.plan import Attest
from fleet.text import clean

_TEXT = 200
_MANY = 50


class AcceptanceNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """One accepted check, its texts trimmed."""

    check: str = ""
    by: str = ""
    reason: str = ""
    since: str = ""
    until: str = ""


class RepairNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was mended; `answers` names the fault that it is evidence for."""

    by: str = ""
    says: str = ""
    at: str = ""
    answers: str = ""


def read_accepted(text: str | None) -> tuple[Acceptance, ...]:
    """The acceptances in the annotation `gate-accepted`; those without both times are left out. Nothing in it raises."""
    if not text:
        return ()
    try:
        notes = msgspec.json.decode(text, type=list[AcceptanceNote])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return ()
    return tuple(word for note in notes[:_MANY] if (word := _acceptance(note)) is not None)


def read_repair(text: str | None) -> Repair | None:
    """The repair in the annotation `repair`; None where there is none that can be read. Nothing in it raises."""
    if not text:
        return None
    try:
        note = msgspec.json.decode(text, type=RepairNote)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    at = read_stamp(note.at)
    return None if at is None else Repair(_fit(note.by), _fit(note.says), at, _fit(note.answers))


def attest(node: NodeObject, action: Attest, keys: OurKeys) -> bytes | None:
    """The patch that writes a person's word; None where it is there already."""
    draft = Draft(node, keys)
    if action.acceptance is not None:
        mine = action.acceptance
        kept = [
            word
            for word in read_accepted(node.annotations.get(keys.accepted))
            if word.check != mine.check and word.until > action.at
        ]
        draft.note(keys.accepted, _text([_note(word) for word in (*kept, mine)]))
    if action.repair is not None:
        repair = action.repair
        note = RepairNote(_fit(repair.by), _fit(repair.says), stamp(repair.at), _fit(repair.answers))
        draft.note(keys.repair, _text(note))
    return draft.patch()


def _acceptance(note: AcceptanceNote) -> Acceptance | None:
    since, until = read_stamp(note.since), read_stamp(note.until)
    if since is None or until is None or not note.check:
        return None
    return Acceptance(_fit(note.check), _fit(note.by), _fit(note.reason), since, until)


def _note(word: Acceptance) -> AcceptanceNote:
    return AcceptanceNote(
        _fit(word.check), _fit(word.by), _fit(word.reason), stamp(word.since), stamp(word.until)
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _fit(text: str) -> str:
    return clean(text, _TEXT)
