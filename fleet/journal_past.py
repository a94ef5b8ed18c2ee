"""What the journal tells of one node: operations with their plan and reason, each step and what came of it, verdicts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from fleet.diagnosis import from_evidence
from fleet.health import GateRecord, Verdict
from fleet.journal import Kind, Record
from fleet.node import NodeKey
from fleet.node_past import LONGEST
from fleet.plan import ApplyVerdict
from fleet.text import clean
from fleet.timeline import JOURNAL, Entry, EntryKind, Weight

_STATES = {
    "done": Weight.GOOD,
    "skipped": Weight.PLAIN,
    "failed": Weight.BAD,
    "unknown": Weight.BAD,
    "cancelled": Weight.NOTE,
    "interrupted": Weight.NOTE,
}
_VERDICTS = {
    Verdict.PASS.value: Weight.GOOD,
    Verdict.WARN.value: Weight.NOTE,
    Verdict.FAIL.value: Weight.BAD,
    Verdict.UNKNOWN.value: Weight.NOTE,
}


def told_by_journal(
    records: Iterable[Record], node: NodeKey, running: Collection[str] = ()
) -> Iterator[Entry]:
    """The entries of a node from records, oldest first, of the operations that touched it.

    A step is told by its outcome; one that has none is told by its intent: as under way in an operation of `running`, which
    somebody runs now, else as of unknown outcome.
    """
    kept = tuple(records)
    ended = {(record.operation, record.step_id) for record in kept if record.kind is Kind.OUTCOME}
    for record in kept:
        if record.kind is Kind.INTENT and (record.operation, record.step_id) in ended:
            continue
        if record.node in ("", node.name) and record.source in ("", node.source):
            yield _entry(record, under_way=record.operation in running)


def last_verdict(records: Iterable[Record]) -> GateRecord | None:
    """The newest whole verdict in records that are oldest first; None where they hold none."""
    actions = [record.step.action for record in records if record.step is not None]
    return next((action.record for action in reversed(actions) if isinstance(action, ApplyVerdict)), None)


def _entry(record: Record, *, under_way: bool) -> Entry:
    kind, weight = EntryKind.OPERATION, _STATES.get(record.state, Weight.PLAIN)
    says = record.says
    match record.kind:
        case Kind.STARTED:
            says, weight = _started(record), Weight.NOTE
        case Kind.INTENT if under_way:
            says, weight = f"{record.verb}, under way: {record.says}", Weight.NOTE
        case Kind.INTENT:
            says, weight = f"{record.verb}, meant to: {record.says}; its outcome is not known", Weight.BAD
        case Kind.OUTCOME if record.evidence in _VERDICTS:
            kind, weight = EntryKind.GATE, _VERDICTS[record.evidence]
            says = f"gate {record.says}"
        case Kind.OUTCOME if (found := from_evidence(record.evidence)) is not None:
            says, weight = f"{record.verb}: {record.says}", _VERDICTS[found.finding.verdict.value]
        case Kind.OUTCOME:
            says = f"{record.verb}: " + (f"{record.state}: " if record.state != "done" else "") + record.says
        case Kind.ENDED:
            says = f"{record.verb} ended: {record.says or record.state}"
        case Kind.RESUMED:
            says = f"{record.verb} resumed" + (f": {record.says}" if record.says else "")
        case Kind.CANCEL_ASKED:
            says, weight = f"{record.verb}: asked to cancel: {record.says}", Weight.NOTE
        case Kind.REFUSED:
            says, weight = f"{record.verb} refused: {record.says}", Weight.NOTE
    return Entry(
        record.at,
        kind,
        clean(says, LONGEST),
        JOURNAL,
        clean(record.by, 120),
        weight,
        clean(record.operation, 120),
    )


def _started(record: Record) -> str:
    """`drain began: fan swap (plan a1b2c3d4e5f6)`."""
    plan = record.plan
    reason = plan.request.reason if plan is not None else record.says
    plan_hash = plan.hash if plan is not None else record.evidence
    says = f"{record.verb} began" + (f": {reason}" if reason else "")
    return f"{says} (plan {plan_hash})" if plan_hash else says
