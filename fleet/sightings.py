"""Remembers how nodes changed while somebody watched, since an orchestrator tells only how they are.

Bounded: the latest changes of each node, and so many in all; of a fleet that changes everywhere the longest unchanged nodes
are forgotten first. It is this program's memory alone: what happened while it did not run is not in it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from fleet.flag import Flag
from fleet.health import same_boot
from fleet.node import Node, NodeKey, Taint
from fleet.node_past import LONGEST, condition_turned, held, judged, let_be
from fleet.observation import FlagsSeen, Listed, NodeGone, NodeSeen, Observation, TelemetrySeen
from fleet.store import FleetStore
from fleet.telemetry import NodeTelemetry
from fleet.text import clean
from fleet.timeline import Entry, EntryKind, Weight
from fleet.xid import lookup

SEEN = "seen here"
"""The source of what this program saw happen."""

A_NODE = 64
IN_ALL = 20_000


class Sightings:
    """Changes by node, oldest first. One task tells it, everybody on that task's loop reads."""

    def __init__(self, a_node: int = A_NODE, in_all: int = IN_ALL) -> None:
        self._a_node = a_node
        self._in_all = in_all
        self._nodes: OrderedDict[NodeKey, deque[Entry]] = OrderedDict()
        self._kept = 0
        self._silent: set[NodeKey] = set()  # their telemetry ended while they were watched

    def __len__(self) -> int:
        return self._kept

    def __contains__(self, node: NodeKey) -> bool:
        return node in self._nodes

    def of(self, node: NodeKey) -> Sequence[Entry]:
        """What is remembered of a node, oldest first."""
        return tuple(self._nodes.get(node, ()))

    def nodes(self) -> Iterable[NodeKey]:
        """The nodes of which anything is remembered."""
        return self._nodes.keys()

    def note(self, node: NodeKey, entries: Iterable[Entry]) -> None:
        """Remember what happened to a node."""
        for entry in entries:
            kept = self._nodes.setdefault(node, deque(maxlen=self._a_node))
            self._nodes.move_to_end(node)
            self._kept += len(kept) < self._a_node
            kept.append(entry)
        while self._kept > self._in_all:
            _, forgotten = self._nodes.popitem(last=False)
            self._kept -= len(forgotten)

    def hear(self, store: FleetStore, observation: Observation, now: datetime) -> None:
        """Compare a fact with what the store has; to be called before the store takes it in. A first sight is no change."""
        rows = store.rows_by_key
        match observation:
            case TelemetrySeen(key, telemetry):
                if (row := rows.get(key)) is not None:
                    self._telemetry(key, row.telemetry, telemetry, now)
            case NodeSeen(node):
                row = rows.get(node.key)
                if row is not None and row.node != node:
                    found = changes(row.node, node, now)
                    self.note(node.key, _since_last_known(found, store, node.key.source, now))
            case FlagsSeen(key, flags, unwatched):
                if (row := rows.get(key)) is not None:
                    self.note(key, flag_changes(row.flags, flags, now, unwatched))
            case NodeGone(key):
                self._gone(store, [key] if key in rows else [], now)
            case Listed(source, names):
                gone = [key for key in rows if key.source == source and key.name not in names]
                self._gone(store, gone, now)

    def _telemetry(
        self, key: NodeKey, before: NodeTelemetry | None, after: NodeTelemetry | None, now: datetime
    ) -> None:
        if before is None or after is None:
            if before is after or (before is None and key not in self._silent):
                return
            (self._silent.add if after is None else self._silent.discard)(key)
        elif (before.xid, before.xids, before.gpus_seen) == (after.xid, after.xids, after.gpus_seen):
            return
        self.note(key, telemetry_changes(before, after, now))

    def _gone(self, store: FleetStore, keys: Iterable[NodeKey], now: datetime) -> None:
        for key in keys:
            self._silent.discard(key)
            gone = [_state(now, f"gone from {key.source}", Weight.NOTE)]
            self.note(key, _since_last_known(gone, store, key.source, now))


def _since_last_known(
    entries: Iterable[Entry], store: FleetStore, source: str, now: datetime
) -> Iterator[Entry]:
    """What differs from what an earlier run saw may have happened at any time since."""
    known = store.last_known.get(source)
    for entry in entries:
        at_once = known is None or entry.source != SEEN
        yield entry if known is None or at_once else replace(entry, within=max(now - known, timedelta(0)))


def changes(before: Node, after: Node, now: datetime) -> Iterator[Entry]:
    """What happened between two looks at a node. Where the orchestrator gives a time it is that, else when it was seen."""
    if before.uid != after.uid:
        yield _state(now, "another node of this name took its place", Weight.NOTE)
    yield from _state_changes(before, after, now)
    yield from _condition_changes(before, after, now)
    yield from _hold_changes(before, after, now)
    yield from _taint_changes(before, after, now)
    for accepted in after.accepted:
        if accepted not in before.accepted:
            yield let_be(accepted)
    if after.gate is not None and after.gate != before.gate:
        yield judged(after.gate)
    if before.boot_id and after.boot_id and not same_boot(before.boot_id, after.boot_id):
        yield Entry(now, EntryKind.BOOT, "booted: its boot id is another", SEEN, weight=Weight.NOTE)


def telemetry_changes(
    before: NodeTelemetry | None, after: NodeTelemetry | None, now: datetime
) -> Iterator[Entry]:
    """XIDs that came or went, GPUs that fell silent, and telemetry that ended or began again."""
    if before is None or after is None:
        if before is not after:
            says = "GPU telemetry ended" if after is None else "GPU telemetry began"
            weight = Weight.NOTE if after is None else Weight.PLAIN
            yield Entry(now, EntryKind.TELEMETRY, says, SEEN, weight=weight)
        return
    yield from _xid_changes(before, after, now)
    one, other = before.gpus_seen, after.gpus_seen
    if one is not None and other is not None and one != other:
        weight = Weight.BAD if other < one else Weight.PLAIN
        yield Entry(now, EntryKind.TELEMETRY, f"{other} GPUs report, {one} before", SEEN, weight=weight)


def flag_changes(
    before: Iterable[Flag], after: Iterable[Flag], now: datetime, unwatched: Mapping[str, str]
) -> Iterator[Entry]:
    """Checks that began to fail in service, with since when, and those that pass again; `unwatched` are others, with why."""
    old, new = ({flag.check: flag for flag in flags} for flags in (before, after))
    for check, flag in new.items():
        if check not in old:
            says = clean(f"flagged in service: {check} FAIL ({flag.value})", LONGEST)
            yield Entry(flag.since, EntryKind.FLAG, says, SEEN, weight=Weight.BAD)
    for check in (check for check in old if check not in new):
        why = unwatched.get(check)
        says = f"{check} passes again" if why is None else f"{check} no longer watched: {why}"
        yield Entry(now, EntryKind.FLAG, clean(says, LONGEST), SEEN)


def _xid_changes(before: NodeTelemetry, after: NodeTelemetry, now: datetime) -> Iterator[Entry]:
    """XIDs that more GPUs show than before; the node's alone, where one of the readings does not tell them all."""
    all_told = all(told.xids or told.xid == 0 for told in (before, after))
    if all_told and after.xid and (before.gpus_seen or 0) >= (after.gpus_seen or 0):
        more = Counter(dict(after.xids)) - Counter(dict(before.xids))
        for code, gpus in sorted(more.items()):
            at = after.xid_at if code == after.xid and after.xid_at is not None else now
            yield _xid(before.xid, code, at, gpus)
    elif after.xid != before.xid and (after.xid or (before.xid and after.xid == 0)):
        yield _xid(before.xid, after.xid, after.xid_at or now)


def _xid(before: int | None, after: int | None, at: datetime, gpus: int = 1) -> Entry:
    if not after:
        says = f"no XID is shown any more (XID {before} before): the exporter or the driver started anew"
        return Entry(at, EntryKind.XID, says, SEEN)
    how = "shows; what was before is not known" if before is None else "appeared"
    on = f" on {gpus} GPUs" if gpus > 1 else ""
    return Entry(at, EntryKind.XID, f"{lookup(after).label} {how}{on}", SEEN, weight=Weight.BAD, gpus=gpus)


def _state(now: datetime, says: str, weight: Weight = Weight.PLAIN) -> Entry:
    return Entry(now, EntryKind.STATE, clean(says, LONGEST), SEEN, weight=weight)


def _state_changes(before: Node, after: Node, now: datetime) -> Iterator[Entry]:
    """One line for stage, admission and readiness together: they move together."""
    pairs = (
        (before.stage.value, after.stage.value),
        (before.admission.value, after.admission.value),
        (f"agent {before.readiness.value}", f"agent {after.readiness.value}"),
    )
    moved = [(one, other) for one, other in pairs if one != other]
    if moved:
        old, new = (", ".join(side) for side in zip(*moved, strict=True))
        yield _state(now, f"{new} ({old} before)")
    others = (
        ("image", before.image.running, after.image.running),
        ("driver", before.software.driver, after.software.driver),
        ("kernel", before.software.kernel, after.software.kernel),
        ("agent", before.software.agent, after.software.agent),
        ("GPUs offered", before.gpus_allocatable, after.gpus_allocatable),
        ("category", before.category, after.category),
        ("another controller's work", before.upgrade, after.upgrade),
    )
    for name, one, other in others:
        if one != other:
            yield _state(now, f"{name} {_said(other)} ({_said(one)} before)", Weight.NOTE)
    if after.deleting and not before.deleting:
        yield _state(now, "is being deleted", Weight.NOTE)


def _said(value: str | int | None) -> str:
    return "unknown" if value is None or value == "" else str(value)


def _condition_changes(before: Node, after: Node, now: datetime) -> Iterator[Entry]:
    if before.conditions == after.conditions:
        return
    old = {condition.type: condition for condition in before.conditions}
    for condition in after.conditions:
        was = old.pop(condition.type, None)
        if was is None or (was.status, was.reason) != (condition.status, condition.reason):
            turned = condition_turned(condition)
            turned_now = was is None or was.status != condition.status
            known = turned_now and turned.at is not None
            yield turned if known else _seen(turned, now)
    for gone in old.values():
        yield Entry(now, EntryKind.CONDITION, clean(f"{gone.type} is no longer reported", LONGEST), SEEN)


def _hold_changes(before: Node, after: Node, now: datetime) -> Iterator[Entry]:
    if before.holds == after.holds:
        return
    old, new = ({_mark(hold): hold for hold in node.holds} for node in (before, after))
    for mark, hold in new.items():
        if mark not in old:
            entry = held(hold)
            yield entry if entry.at is not None else _seen(entry, now)
    for mark, hold in old.items():
        if mark not in new:
            lifted = held(hold)
            says = clean(f"no longer {lifted.says}", LONGEST)
            yield Entry(now, EntryKind.HOLD, says, SEEN, lifted.by, operation=lifted.operation)


def _taint_changes(before: Node, after: Node, now: datetime) -> Iterator[Entry]:
    """Taints of other people: Kubernetes' own only repeat what the node's state tells."""
    if before.taints == after.taints:
        return
    old, new = ({taint: None for taint in node.taints if _of_people(taint)} for node in (before, after))
    for taint in new:
        if taint not in old:
            yield _state(now, f"taint {_spelled(taint)} set", Weight.NOTE)
    for taint in old:
        if taint not in new:
            yield _state(now, f"taint {_spelled(taint)} taken off")


def _of_people(taint: Taint) -> bool:
    return not taint.key.startswith("node.kubernetes.io/")


def _spelled(taint: Taint) -> str:
    return f"{taint.key}{'=' + taint.value if taint.value else ''}:{taint.effect}"


def _mark(hold: object) -> tuple[object, ...]:
    return tuple(getattr(hold, name) for name in ("kind", "by", "verb", "reason", "operation"))


def _seen(entry: Entry, now: datetime) -> Entry:
    return Entry(now, entry.kind, entry.says, SEEN, entry.by, entry.weight, entry.operation)
