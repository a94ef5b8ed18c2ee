"""Past verdicts as the journal keeps them: every finding with its threshold as it was, and what people vouched for."""

from __future__ import annotations

from fleet.journal import Record
from fleet.plan import ApplyVerdict, Attest
from fleet.text import clean
from tui.headless.shapes import Shape, acceptance_shape, verdict_shape
from tui.headless.words import verdict_lines


def judgement_shape(record: Record) -> Shape:
    """One verdict, acceptance or repair. `outcome` is null where its program ended before it was written on the node."""
    action = record.step.action if record.step is not None else None
    shape: Shape = {
        "at": record.at.isoformat(),
        "operation": record.operation,
        "by": record.by,
        "source": record.source or None,
        "node": record.node,
        "outcome": record.state if record.state != "intended" else None,
        "says": record.says or None,
    }
    if isinstance(action, ApplyVerdict):
        return {**shape, "did": _did(action), **verdict_shape(action.record)}
    if isinstance(action, Attest):
        if action.acceptance is not None:
            shape["accepted"] = acceptance_shape(action.acceptance)
        if action.repair is not None:
            shape["repair"] = {
                "by": action.repair.by,
                "says": action.repair.says,
                "answers": action.repair.answers,
            }
    return shape


def judgement_lines(record: Record) -> list[str]:
    """The same for people."""
    action = record.step.action if record.step is not None else None
    head = f"{record.at:%Y-%m-%d %H:%M:%S} UTC  {record.by}  {record.operation}"
    if isinstance(action, ApplyVerdict):
        found = action.record
        tied = ", ".join(part for part in (f"digest {found.digest}", _named("policy", found.policy)) if part)
        unfinished = "" if record.state != "intended" else "; never confirmed as written"
        return [
            clean(f"{head}  {_did(action)}{unfinished} ({tied})"),
            *verdict_lines(record.node, found, runs=True),
        ]
    return [clean(f"{head}  {record.node}: {record.step.says if record.step is not None else record.says}")]


def _did(action: ApplyVerdict) -> str:
    return "admitted" if action.admit else "quarantined" if action.quarantine else "recorded"


def _named(word: str, value: str) -> str:
    return f"{word} {value}" if value else ""
