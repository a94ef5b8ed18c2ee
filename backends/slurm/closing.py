"""What each change of admission makes of a Slurm node, as one `scontrol update`: close, release, the gate's verdict, a stage.

DRAIN is all that Slurm enforces; whether the gate is shut, the stage and our holds stand in our note. A Reason of somebody
else is never replaced: where Slurm wants one with DRAIN and theirs is there, theirs is given again and its user and time saved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from backends.slurm.our_note import (
    REASON_PREFIX,
    UNREADABLE,
    AcceptanceNote,
    Entry,
    Note,
    RepairNote,
    SavedReason,
    write_gate,
)
from backends.slurm.seen import Seen, expect_no_reboot, expect_to_stay
from backends.slurm.stamps import stamp
from fleet.errors import Conflict, Rejected
from fleet.holder import Hold, HolderKind
from fleet.node import Admission, Stage
from fleet.plan import ApplyVerdict, Attest, Close, Mark, Release, Verb
from fleet.text import clean

_AT_THE_GATE = (Stage.PROVISIONING, Stage.GATED, Stage.REIMAGING, Stage.QUARANTINED)
NOT_RESPONDING = "Not responding"
"""Slurm's own Reason for a dead slurmd: by it ReturnToService=1 knows which nodes to take back (22.05.8)."""
ASLEEP = "asleep"
"""What stands for the boot of a node that sleeps and whose boot Slurm forgot: any boot is another one."""
_REASON = 240
_SAVED = 200


@dataclass(frozen=True, slots=True)
class Change:
    """A node as it should become: our `note`, and the state and Reason to set (empty: left as they are).

    `evidence` is what the change makes Slurm forget, so that the journal keeps it.
    """

    seen: Seen
    note: Note
    state: str = ""
    reason: str = ""
    says: str = ""
    already: str = "already so"
    evidence: str = ""

    @property
    def needed(self) -> bool:
        return bool(self.state) or bool(self.reason) or self.note != self.seen.note

    def argv(self) -> tuple[str, ...]:
        """The `scontrol update` that makes it so. Raises Rejected where the note grew too long."""
        changes = [f"NodeName={self.seen.name}"]
        if self.state:
            changes.append(f"State={self.state}")
        if self.reason:
            changes.append(f"Reason={self.reason}")
        if self.note != self.seen.note:
            text = self.seen.written.text(self.note, node=self.seen.name)
            changes.append(f"{self.seen.field}={text}")
        return ("scontrol", "update", *changes)


def close(seen: Seen, action: Close) -> Change:
    """Close admission and write the hold. A hold of the same operation is brought up to date, not doubled.

    Raises Conflict where that hold is there and the node was opened all the same, where it is to be written `again` and is
    gone, and where DRAIN would not stay: a reboot that somebody else began takes it away at its end, ResumeAfter at its time.
    """
    mine = seen.note.of(action.hold.operation)
    if mine is not None and not seen.closed:
        raise Conflict("somebody opened it since we closed it", about=seen.name)
    if mine is None and action.again:
        raise Conflict("somebody lifted our hold since", about=seen.name)
    if not seen.drain:
        expect_no_reboot(seen)
    entry = entry_of(seen, action)
    if mine is None:
        holds = (*seen.note.holds, entry)
    else:
        kept = msgspec.structs.replace(
            entry,
            since=mine.since or entry.since,
            found=mine.found,
            behind_gate=mine.behind_gate or entry.behind_gate,
        )
        holds = _swap(seen.note.holds, mine, kept)
    note = msgspec.structs.replace(
        seen.note,
        holds=holds,
        gated=seen.note.gated or action.gate,
        stage=seen.note.stage if action.stage is None else action.stage.value,
    )
    return _shut(seen, note, "held" if seen.closed else "closed")


def release(seen: Seen, action: Release) -> Change:
    """Lift our holds (of `operations`; all of ours where neither those nor `take_over` are named), and open when none is left.

    Raises Conflict during a reboot, and where it was to be left open as it stands and is closed with ours on it.
    """
    everything = not action.operations and not action.take_over

    def lifted(entry: Entry) -> bool:
        return everything or entry.operation in action.operations or entry.by in action.take_over

    note = _lift(seen.note, lifted, action.take_over)
    if action.as_it_stands:
        return _left_open(seen, note, action.stage)
    if action.open_gate:
        note = msgspec.structs.replace(note, gated=False)
    others = note.held() + _foreign(seen, action.take_over)
    if not others and note.gated:
        if action.stage is not None:
            note = _staged(note, action.stage)
        return _stay(seen, note, "hold lifted; the gate stays shut", "the gate is shut", action.take_over)
    if others:
        if action.stage is not None and not note.holds:
            note = _staged(note, action.stage)
        named = _named(others)
        if not note.held() and _only_down(seen):
            return Change(seen, note, "UNDRAIN", says=f"lifted; it stays DOWN: {named}")
        says, already = f"lifted; stays closed: {named}", f"nothing of ours; held by {named}"
        return _stay(seen, note, says, already, action.take_over)
    if action.stage is not None:
        note = _staged(note, action.stage)
    return _open(seen, note, "opened", "already open")


def apply_verdict(seen: Seen, action: ApplyVerdict) -> Change:
    """Write the record, and with it open the node or quarantine it. With neither, nothing but the record changes.

    Raises Conflict where it would open a node during a reboot.
    """
    if action.admit and action.quarantine:
        raise Rejected("a verdict can't admit and quarantine at once", about=seen.name)
    if action.admit:
        change = _admit(seen, action)
    elif action.quarantine:
        change = _quarantine(seen, action)
    else:
        change = Change(seen, seen.note, says=f"{action.record.verdict.value} recorded")
    gate = write_gate(action.record)
    was = seen.note.gate
    if was is not None and not change.needed:
        same = (was.verdict, was.digest, was.boot) == (gate.verdict, gate.digest, gate.boot)
        gate = was if same else gate
    note = msgspec.structs.replace(change.note, gate=gate)
    already = f"{action.record.verdict.value} as before"
    return _with(change, note=note, already=already)


def mark(seen: Seen, action: Mark) -> Change:
    """Write the stage, and nothing else."""
    return Change(seen, _staged(seen.note, action.stage), says=action.stage.value)


def attest(seen: Seen, action: Attest) -> Change:
    """Write a person's word, and nothing else. Acceptances that have ended go with it."""
    note = seen.note
    if action.acceptance is not None:
        mine = AcceptanceNote.of(action.acceptance)
        kept = tuple(
            AcceptanceNote.of(word)
            for word in note.acceptances()
            if word.check != action.acceptance.check and word.until > action.at
        )
        note = msgspec.structs.replace(note, accepted=(*kept, mine))
    if action.repair is not None:
        note = msgspec.structs.replace(note, repair=RepairNote.of(action.repair))
    return Change(seen, note, says="written on the node")


def want_image(seen: Seen, image: str, operation: str) -> Change:
    """Write which image the next boot is to bring, where the node, or what boots it, may read it, and who asks for the boot."""
    note = msgspec.structs.replace(seen.note, image=image, boot=seen.boot, wanted_by=operation)
    if seen.asleep:  # waking makes Slurm forget the Reason
        theirs = _saved(seen) if seen.held_by_reason else None
        note = msgspec.structs.replace(note, boot=seen.boot or ASLEEP, saved=theirs)
    return Change(seen, note, says=f"wants {image}")


def retired(seen: Seen) -> Change:
    """Take an emptied node out of service as DOWN. Raises Conflict where work is on it, or a reboot under way."""
    expect_no_reboot(seen)
    if seen.busy:
        raise Conflict(f"work is on it ({seen.state}): DOWN would kill or requeue it", about=seen.name)
    note = _staged(seen.note, Stage.RETIRED)
    if seen.down and note == seen.note:
        return Change(seen, note, already="already retired")
    reason = seen.reason if seen.held_by_reason else reason_of(note)
    return Change(seen, note, "" if seen.down else "DOWN", "" if seen.down else reason, "retired: DOWN")


def shut_again(seen: Seen) -> Change:
    """Set the DRAIN that Slurm took away when it gave a reboot up, keeping what the Reason says."""
    return Change(
        seen, seen.note, "" if seen.drain else "DRAIN", "" if seen.drain else seen.reason, "closed again"
    )


def drain_again(seen: Seen, found: str) -> Change:
    """Drain a node that was undrained for a while, under the Reason `found` then, else ours; somebody else's of since stays."""
    if not seen.held_by_reason:
        return Change(seen, seen.note, "DRAIN", found or reason_of(seen.note), "drained again")
    note = msgspec.structs.replace(seen.note, saved=_saved(seen))
    return Change(seen, note, "DRAIN", seen.reason, "drained again", evidence=saved(seen))


def lost_reason(seen: Seen) -> bool:
    """Whether it is drained by us and Slurm forgot the Reason, as it does when it wakes a node."""
    return seen.drain and not seen.reason and bool(seen.note.holds)


def reason_again(seen: Seen) -> Change:
    """Give the Reason that Slurm forgot: somebody else's where it was theirs, so that their hold is seen; else ours."""
    if not lost_reason(seen):
        return Change(seen, seen.note)
    theirs = seen.note.saved
    return Change(
        seen, seen.note, reason=theirs.text if theirs else reason_of(seen.note), says="its Reason given again"
    )


def entry_of(seen: Seen, action: Close) -> Entry:
    """The hold as it is written: with what the node is found as now, not when it was planned."""
    found = Admission.OPEN
    if seen.closed:
        found = Admission.GATED if seen.note.gated else Admission.CORDONED
    behind_gate = action.gate or action.stage in _AT_THE_GATE
    return Entry.of(action.hold, found=found.value, behind_gate=behind_gate)


def reason_of(note: Note) -> str:
    """Our Reason: that of the first of our holds, with its name and verb."""
    if not note.holds:
        return f"{REASON_PREFIX}held"
    first = note.holds[0]
    why = first.reason or first.verb or "no reason given"
    return clean(f"{REASON_PREFIX}{why} ({first.by}, {first.verb})", _REASON)


def saved(seen: Seen) -> str:
    """Somebody else's Reason in words, with its user and time, for the journal. Empty where ours or none stands."""
    if not seen.held_by_reason:
        return ""
    at = f" at {stamp(seen.reason_at)}" if seen.reason_at else ""
    return f"Reason was: {clean(seen.reason)} [{seen.reason_by or 'unknown'}{at}]"


def _shut(seen: Seen, note: Note, says: str) -> Change:
    """DRAIN where there is none, and a Reason where none of others stands. Raises Conflict where it would not stay."""
    expect_to_stay(seen)
    if not seen.drain:
        if not seen.held_by_reason:
            return Change(seen, note, "DRAIN", reason_of(note), says)
        note = msgspec.structs.replace(note, saved=_saved(seen))
        return Change(seen, note, "DRAIN", seen.reason, says, evidence=saved(seen))
    return Change(seen, note, reason=_brought_up(seen, note), says=says)


def _stay(seen: Seen, note: Note, says: str, already: str, take_over: tuple[str, ...]) -> Change:
    """Leave it closed for others, under the Reason of who is left."""
    if seen.held_by_reason and not _foreign(seen, take_over):
        note = msgspec.structs.replace(note, saved=_saved(seen))
        return Change(seen, note, reason=reason_of(note), says=says, already=already, evidence=saved(seen))
    return Change(seen, note, reason=_brought_up(seen, note), says=says, already=already)


def _left_open(seen: Seen, note: Note, stage: Stage | None) -> Change:
    """Our hold off a node that somebody else opened, whose state and Reason stay theirs."""
    if seen.closed:
        if note != seen.note:
            raise Conflict("somebody closed it again", about=seen.name)
        return Change(seen, note, already="nothing of ours is on it")
    if stage is not None and not note.holds:
        note = _staged(note, stage)
    says = "left open: nothing of ours is on it any more"
    return Change(seen, note, says=says, already="left open: nothing of ours is on it")


def _open(seen: Seen, note: Note, says: str, already: str) -> Change:
    """RESUME, which erases the Reason. A node whose slurmd does not answer loses its DRAIN alone, and stays DOWN."""
    if not seen.closed:
        return Change(seen, note, says=says, already=already)
    expect_no_reboot(seen)
    if seen.held_by_reason:
        note = msgspec.structs.replace(note, saved=_saved(seen))
    if seen.down and not seen.responds:
        if not seen.drain:
            return Change(seen, note, says=f"{says}; it stays {seen.state}", already=f"it is {seen.state}")
        reason = NOT_RESPONDING if seen.reason_is_ours else ""
        return Change(seen, note, "UNDRAIN", reason, f"{says}; it stays DOWN until its slurmd answers")
    return Change(seen, note, "RESUME", "", says, already, saved(seen))


def _admit(seen: Seen, action: ApplyVerdict) -> Change:
    def lifted(entry: Entry) -> bool:
        ours = entry.operation == action.operation != ""
        return ours or entry.verb == Verb.GATE.value or entry.behind_gate

    note = msgspec.structs.replace(_lift(seen.note, lifted, ()), gated=False, image="", boot="", wanted_by="")
    note = _staged(note, Stage.IN_SERVICE)
    others = note.held() + _foreign(seen, ())
    if others:
        return _stay(seen, note, f"passed the gate; stays closed: {_named(others)}", "as before", ())
    return _open(seen, note, "admitted", "already open")


def _quarantine(seen: Seen, action: ApplyVerdict) -> Change:
    """Close with one hold of the gate: it takes the place of this operation's, and of an earlier gate's by the same person."""
    if not seen.drain:
        expect_no_reboot(seen)
    holds = seen.note.holds
    if action.hold is not None:
        entry = entry_of(seen, Close(action.hold, Stage.QUARANTINED, gate=True))
        old = next((there for there in holds if _superseded(there, entry)), None)
        if old is None:
            holds = (*holds, entry)
        else:
            kept = msgspec.structs.replace(entry, found=old.found)
            holds = _swap(holds, old, kept)
    note = msgspec.structs.replace(seen.note, holds=holds, gated=True, stage=Stage.QUARANTINED.value)
    return _shut(seen, note, "quarantined")


def _only_down(seen: Seen) -> bool:
    """Whether the DRAIN of a node that is DOWN is ours alone: the Reason is still the one that we found with DOWN."""
    found = seen.note.saved
    return seen.down and seen.drain and found is not None and clean(seen.reason, _SAVED) == found.text


def _superseded(there: Entry, entry: Entry) -> bool:
    return there.operation == entry.operation != "" or (there.verb == entry.verb and there.by == entry.by)


def _brought_up(seen: Seen, note: Note) -> str:
    """Our Reason where it says something else by now; empty where nothing need change. What Slurm added to it may go."""
    if not seen.reason_is_ours or not note.holds or seen.rebooting:
        return ""
    wanted = reason_of(note)
    return "" if seen.reason.partition(" : reboot")[0] == wanted else wanted


def _swap(holds: tuple[Entry, ...], old: Entry, new: Entry) -> tuple[Entry, ...]:
    return tuple(new if entry == old else entry for entry in holds)


def _lift(note: Note, lifted: Callable[[Entry], bool], take_over: tuple[str, ...]) -> Note:
    """The note without the holds that are lifted. What the first of them found is carried on to the one that outlives it."""
    kept = tuple(entry for entry in note.holds if not lifted(entry))
    if kept and note.holds[0] != kept[0]:
        kept = (msgspec.structs.replace(kept[0], found=note.holds[0].found), *kept[1:])
    lost = "" if UNREADABLE in take_over else note.lost
    return msgspec.structs.replace(note, holds=kept, lost=lost)


def _staged(note: Note, stage: Stage) -> Note:
    """In service is what a node is that says nothing, so that nothing stays behind on it."""
    return msgspec.structs.replace(note, stage="" if stage is Stage.IN_SERVICE else stage.value)


def _foreign(seen: Seen, take_over: tuple[str, ...]) -> tuple[Hold, ...]:
    """Others' holds that nobody took over. What can't be read can't be told from a hold that nobody signed."""
    unnamed_too = UNREADABLE in take_over
    return tuple(
        hold
        for hold in seen.foreign
        if hold.by not in take_over and not (unnamed_too and hold.kind is HolderKind.UNNAMED)
    )


def _saved(seen: Seen) -> SavedReason:
    return SavedReason(clean(seen.reason, _SAVED), clean(seen.reason_by, 64), stamp(seen.reason_at))


def _with(change: Change, *, note: Note, already: str) -> Change:
    return Change(change.seen, note, change.state, change.reason, change.says, already, change.evidence)


def _named(holds: tuple[Hold, ...]) -> str:
    return ", ".join(
        (hold.by or "somebody unnamed") + (f" ({hold.reason})" if hold.reason else "") for hold in holds
    )
