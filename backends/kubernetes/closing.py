"""What each change of admission makes of a Node, as pure edits: close, release, the gate's verdict, a stage.

A hold is ours where Quarterdeck wrote it into `held-by`. What a node was found as before the first of our holds is carried on
to the hold that outlives it, so that the last one to go puts back what was found, and not what a colleague of ours did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from backends.kubernetes.gate_note import same_finding, write_gate
from backends.kubernetes.held_by import UNREADABLE, Entry, HeldBy, holds_of, read_held_by
from backends.kubernetes.last_writer import written_since
from backends.kubernetes.node_edit import Draft, NodeObject
from backends.kubernetes.our_keys import KEEP_AWAY, OurKeys
from fleet.alone import KEEPS_AWAY
from fleet.errors import Conflict, Rejected
from fleet.holder import Hold, HolderKind
from fleet.node import Admission, Stage
from fleet.plan import ApplyVerdict, Close, Mark, Release, Verb

ForeignHolds = Callable[[NodeObject], tuple[Hold, ...]]
"""Holds of others on a Node, from the keys they left: controllers by name, and one unnamed for a cordon that nobody signed."""

_AT_THE_GATE = (Stage.PROVISIONING, Stage.GATED, Stage.REIMAGING, Stage.QUARANTINED)


@dataclass(frozen=True, slots=True)
class Change:
    """A node as it should become; `patch` None where it is so already. `says` is for people."""

    patch: bytes | None
    says: str


def close(node: NodeObject, action: Close, keys: OurKeys) -> Change:
    """Close admission and write the hold. A hold of the same operation is brought up to date, not doubled.

    Raises Conflict where that hold is there and the node was opened all the same, or where it is to be written `again`
    and is gone: somebody did that on purpose.
    """
    draft, held = Draft(node, keys), _held(node, keys)
    entry, mine = entry_of(node, action, keys), held.of(action.hold.operation)
    if mine is not None and not node.closed(keys):
        raise Conflict(f"somebody opened it since we closed it{written_since(node)}", about=node.name)
    if mine is None and action.again:
        raise Conflict("somebody lifted our hold since we closed it", about=node.name)
    if mine is None:
        held = held.with_(entry)
    else:
        kept = msgspec.structs.replace(
            entry,
            since=mine.since or entry.since,
            found=mine.found,
            restore=mine.restore or entry.restore,
            behind_gate=mine.behind_gate or entry.behind_gate,
        )
        held = held if kept == mine else held.swap(mine, kept)
    _write_holds(draft, held)
    _shut(draft, gate=action.gate, keep_away=entry.verb in KEEPS_AWAY, stage=action.stage)
    return _change(draft, "closed" if not node.closed(keys) else "held", "already so")


def release(node: NodeObject, action: Release, keys: OurKeys, foreign: ForeignHolds) -> Change:
    """Lift our holds (of `operations`; all of ours where neither those nor `take_over` are named), and open when none is left.

    Raises Conflict where it was to be left open as it stands, and is closed with ours on it.
    """
    everything = not action.operations and not action.take_over

    def lifted(entry: Entry) -> bool:
        return everything or entry.operation in action.operations or entry.by in action.take_over

    draft = Draft(node, keys)
    held = _lift(draft, lifted, take_over=action.take_over)
    if action.as_it_stands:
        return _left_open(draft, held, action.stage)
    others = _others(draft, foreign, action.take_over)
    if action.open_gate:
        draft.open_gate()
    if others:
        _keep_shut(draft)
        if action.stage is not None and not any(entry.verb in KEEPS_AWAY for entry in held.entries):
            draft.labels[keys.lifecycle] = action.stage.value
        return _change(
            draft, f"lifted; stays closed: {_named(others)}", f"nothing of ours; held by {_named(others)}"
        )
    draft.unschedulable = False
    if action.stage is not None:
        draft.labels[keys.lifecycle] = action.stage.value
    says = "hold lifted; the gate stays shut" if draft.closed else "opened"
    return _change(draft, says, "already open")


def _left_open(draft: Draft, held: HeldBy, stage: Stage | None) -> Change:
    if draft.closed:
        if draft.patch() is not None:
            raise Conflict("somebody closed it again", about=draft.node.name)
        return Change(None, "nothing of ours is on it")
    if stage is not None and not held.entries:
        draft.labels[draft.keys.lifecycle] = stage.value
    return _change(
        draft, "left open: nothing of ours is on it any more", "left open: nothing of ours is on it"
    )


def apply_verdict(node: NodeObject, action: ApplyVerdict, keys: OurKeys, foreign: ForeignHolds) -> Change:
    """Write the record, and with it open the gate or quarantine the node. With neither, nothing but the record changes."""
    if action.admit and action.quarantine:
        raise Rejected("a verdict can't admit and quarantine at once", about=node.name)
    draft = Draft(node, keys)
    says = f"{action.record.verdict.value} recorded"
    if action.admit:
        says = _admit(draft, action, foreign)
    elif action.quarantine:
        says = _quarantine(draft, action)
    if draft.patch() is not None or not same_finding(node.annotations.get(keys.gate), action.record):
        draft.note(keys.gate, write_gate(action.record))
    return _change(draft, says, f"{action.record.verdict.value} as before")


def mark(node: NodeObject, action: Mark, keys: OurKeys) -> Change:
    """Write the stage, and nothing else. Raises Conflict where the node was opened since: it is no longer ours to say."""
    if not node.closed(keys):
        raise Conflict(f"somebody opened it since we closed it{written_since(node)}", about=node.name)
    draft = Draft(node, keys)
    draft.labels[keys.lifecycle] = action.stage.value
    return _change(draft, action.stage.value, "already so")


def _admit(draft: Draft, action: ApplyVerdict, foreign: ForeignHolds) -> str:
    def lifted(entry: Entry) -> bool:
        ours = entry.operation == action.operation != ""
        return ours or entry.verb == Verb.GATE.value or entry.behind_gate

    mine = _held(draft.node, draft.keys).of(action.operation)
    left = _lift(draft, lifted)
    others = _others(draft, foreign, ())
    draft.open_gate()
    stage = Stage.IN_SERVICE
    if any(entry.verb in KEEPS_AWAY for entry in left.entries):
        emptied = mine is not None and mine.verb == Verb.REIMAGE.value
        stage = Stage.DRAINED if emptied else Stage.DRAINING
    draft.labels[draft.keys.lifecycle] = stage.value
    if others:
        _keep_shut(draft)
        return f"passed the gate; stays closed: {_named(others)}"
    draft.unschedulable = False
    return "admitted"


def _quarantine(draft: Draft, action: ApplyVerdict) -> str:
    """Close with one hold of the gate: it takes the place of this operation's, and of an earlier gate's by the same person."""
    node, keys = draft.node, draft.keys
    held = _held(node, keys)
    if action.hold is not None:
        entry = entry_of(node, Close(action.hold, Stage.QUARANTINED, gate=not action.by_cordon), keys)
        old = next((there for there in held.entries if _superseded(there, entry)), None)
        if old is None:
            held = held.with_(entry)
        else:
            kept = msgspec.structs.replace(entry, found=old.found, restore=old.restore or entry.restore)
            held = held.swap(old, kept)
        _write_holds(draft, held)
    _shut(draft, gate=not action.by_cordon, keep_away=False, stage=Stage.QUARANTINED)
    return "quarantined"


def _superseded(there: Entry, entry: Entry) -> bool:
    return there.operation == entry.operation != "" or (there.verb == entry.verb and there.by == entry.by)


def _change(draft: Draft, says: str, already: str) -> Change:
    patch = draft.patch()
    return Change(patch, says if patch is not None else already)


def _held(node: NodeObject, keys: OurKeys) -> HeldBy:
    return read_held_by(node.annotations.get(keys.held_by))


def entry_of(node: NodeObject, action: Close, keys: OurKeys) -> Entry:
    """The hold as it is written: with what the node is found as now, not when it was planned."""
    found = Admission.GATED if node.gated(keys) else Admission.OPEN
    if node.unschedulable:
        found = Admission.CORDONED
    restore: dict[str, str | None] = {}
    if action.hold.verb in KEEPS_AWAY:
        restore = {key: node.annotations.get(key) for key in KEEP_AWAY}
    return msgspec.structs.replace(
        Entry.of(action.hold),
        found=found.value,
        restore=restore,
        behind_gate=action.gate or action.stage in _AT_THE_GATE,
    )


def _shut(draft: Draft, *, gate: bool, keep_away: bool, stage: Stage | None) -> None:
    draft.unschedulable = True
    if gate:
        draft.shut_gate()
    if stage is not None:
        draft.labels[draft.keys.lifecycle] = stage.value
    if keep_away:
        draft.annotations.update(dict.fromkeys(KEEP_AWAY, "true"))


def _keep_shut(draft: Draft) -> None:
    """Close by a cordon what only the gate kept closed for somebody whose hold outlives it."""
    if draft.node.closed(draft.keys):
        draft.unschedulable = True


def _write_holds(draft: Draft, held: HeldBy) -> None:
    """Write the list; a text that nobody can read is set aside first, beside whatever was set aside before."""
    keys = draft.keys
    if held.garbled:
        before = draft.annotations.get(keys.unreadable)
        kept = held.garbled if before in (None, held.garbled) else f"{before}\n{held.garbled}"
        draft.note(keys.unreadable, kept)
    draft.note(keys.held_by, held.text(node=draft.node.name))


def _lift(draft: Draft, lifted: Callable[[Entry], bool], *, take_over: tuple[str, ...] = ()) -> HeldBy:
    """Take our holds off the draft. Returns what is left; what nobody can read goes only where it is taken over by name."""
    keys = draft.keys
    was = _held(draft.node, keys)
    held, gone = was.without(lifted)
    if UNREADABLE in take_over:
        held = HeldBy(tuple(line for line in held.lines if line.entry is not None))
        draft.note(keys.unreadable, None)
    if gone and held.entries and was.entries[0] in gone:
        heir = held.entries[0]
        held = held.swap(heir, msgspec.structs.replace(heir, found=was.entries[0].found))
    if gone:
        held = _restore(draft, held, gone)
    if held != was:
        draft.note(keys.held_by, held.text(node=draft.node.name))
    return held


def _restore(draft: Draft, held: HeldBy, gone: tuple[Entry, ...]) -> HeldBy:
    """Put back what was found of the autoscalers' keys, or leave that to the next hold that asked for them."""
    found = next((entry.restore for entry in gone if entry.restore), None)
    if found is None:
        return held
    heir = next((entry for entry in held.entries if entry.restore), None)
    if heir is not None:
        if not all(value == "true" for value in heir.restore.values()):
            return held
        return held.swap(heir, msgspec.structs.replace(heir, restore=found))
    for key, text in found.items():
        if key in KEEP_AWAY and draft.annotations.get(key) == "true":
            draft.note(key, text)
    return held


def _others(draft: Draft, foreign: ForeignHolds, take_over: tuple[str, ...]) -> tuple[Hold, ...]:
    """Who still keeps the node closed: our other holds, controllers, and whoever closed it before us without a name."""
    keys = draft.keys
    ours = holds_of(draft.annotations.get(keys.held_by), draft.annotations.get(keys.unreadable))
    if not draft.unschedulable:
        return ours
    unnamed_too = UNREADABLE in take_over  # what can't be read can't be told from a cordon that nobody signed
    return ours + tuple(
        hold
        for hold in foreign(draft.node)
        if hold.by not in take_over and not (unnamed_too and hold.kind is HolderKind.UNNAMED)
    )


def _named(holds: tuple[Hold, ...]) -> str:
    return ", ".join(_one(hold) for hold in holds)


def _one(hold: Hold) -> str:
    return (hold.by or "somebody unnamed") + (f" ({hold.reason})" if hold.reason else "")
