"""Fleet values as lines of text for a terminal without a dashboard. Everything from outside is made safe to print."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fleet.health import Verdict, counts_for_nothing
from fleet.text import clean

if TYPE_CHECKING:
    from datetime import datetime

    from fleet.health import Finding, GateRecord
    from fleet.operation import Operation
    from fleet.plan import Plan, Radius
    from fleet.policy import Policy
    from fleet.row import FleetRow

_VERDICTS = ("FAIL", "UNKNOWN")
_WIDEST = 100
"""Characters of a cell of the node table; whoever wants every word asks for --json or for the node's own screen."""


def tell(line: str) -> None:
    """One line to stderr, where words go."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is where words go


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, two spaces apart."""
    lines = [list(head), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def node_words(row: FleetRow, now: datetime, policy: Policy) -> tuple[str, ...]:
    """One node as `nodes` prints it, with what is worst about it at `now`. `?` is unknown."""
    from fleet.severity import concerns  # not on the way to a first frame

    node, telemetry = row.node, row.telemetry
    wrong = concerns(row, now, policy)
    used = str(row.work.gpus_used) if row.work else "?"
    gpus = "?" if node.gpus_allocatable is None else str(node.gpus_allocatable)
    holder = node.holder or (row.twin.holder if row.twin is not None else None)
    return (
        node.key.name,
        node.category or "?",
        node.image.running or "?",
        node.stage.value,
        node.admission.value,
        node.readiness.value,
        f"{used} of {gpus}",
        _number(telemetry.gpu_util if telemetry else None, "%"),
        _number(telemetry.gpu_temp_max if telemetry else None, "C"),
        "none" if telemetry and telemetry.xid == 0 else _number(telemetry.xid if telemetry else None, ""),
        clean(wrong[0].text, _WIDEST) if wrong else "ok",
        clean(f"{holder.by}: {holder.reason}", _WIDEST) if holder else "",
    )


NODE_HEAD = (
    "NODE",
    "CATEGORY",
    "IMAGE",
    "STAGE",
    "ADMISSION",
    "READY",
    "GPUS USED",
    "UTIL",
    "HOTTEST",
    "XID",
    "NOW",
    "HELD BY",
)


def plan_lines(plan: Plan) -> list[str]:
    """A plan as text: cost first, then what blocks it, then what it would do."""
    radius = plan.radius
    lines = [
        f"{plan.verb.value} {counted(len(plan.nodes), 'node')}  (plan {plan.hash})",
        *(f"  cost: {words}" for words in _cost(radius)),
        *([f"  pace: {plan.pace}"] if plan.pace else []),
        *(f"  note: {says}" for says in plan.warnings),
    ]
    lines += [f"  lost: {label}" for label in radius.jobs_lost]
    lines += [f"  gang: {says}" for says in radius.gangs]
    lines += [f"  waits for budget {name}" for name in radius.waits_for]
    lines += [
        f"  BLOCKED {blocker.node.name + ': ' if blocker.node else ''}{blocker.says}"
        + (f" ({blocker.go_on})" if blocker.go_on else "")
        for blocker in plan.all_blockers
    ]
    for node in plan.nodes:
        lines.append(f"  {node.node.name}: {node.found}")
        lines += [f"    already {line}" for line in node.already]
        lines += [f"    note: {line}" for line in node.warnings]
        lines += [f"    {number}. {step.says}" for number, step in enumerate(node.steps, start=1)]
    return [_printable(line) for line in lines]


def _cost(radius: Radius) -> Iterator[str]:
    """What moves, and what GPUs are left to the categories touched; nothing of what nothing is."""
    if radius.pods:
        yield f"{radius.moving}, {counted(radius.gpus, 'GPU')}"
    if radius.capacity_left:
        after, now = radius.capacity_left
        where = f" in {', '.join(radius.categories)}" if any(radius.categories) else ""
        yield f"GPUs usable{where} after it: {after} of {now}"


def counted(count: int, noun: str) -> str:
    """`1 node`, `3 nodes`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def operation_lines(operation: Operation) -> list[str]:
    """How an operation ended, node by node where something went wrong."""
    state, says = operation.state.value, operation.says
    says_it = state in says or (says and operation.plan.verb.value == "gate")
    told = says if says_it else f"{state}, {says}" if says else state
    lines = [f"{operation.id} {operation.plan.verb.value}: {told}"]
    if operation.plan.changes_nothing:
        lines = [f"checked; nothing was written{'' if state == 'done' else f': {says}'}"]
    lines += [
        f"  {of_node(outcome.node.name, outcome.says)}"
        for outcome in operation.outcomes
        if outcome.state.value not in ("done", "skipped") and outcome.evidence not in _VERDICTS
    ]
    return [_printable(line) for line in lines]


def verdict_lines(name: str, record: GateRecord, *, runs: bool = False) -> list[str]:
    """A node's verdict, and under it each finding that did not pass, with its evidence and what would clear it.

    With `runs` also those that passed of checks that ran on the node, without what they printed. Ages are as of when it was
    judged; checks whose metric nobody exports or needs share one line.
    """
    lines = [f"{name}: {record.verdict.value}"]
    absent = [finding.check for finding in record.findings if counts_for_nothing(finding)]
    for finding in record.findings:
        passes = finding.verdict is Verdict.PASS and not (runs and finding.tail)
        if passes or counts_for_nothing(finding):
            continue
        wants = f", wants {finding.threshold}" if finding.threshold else ""
        source = f" ({_source(finding, record.at)})" if finding.source else ""
        lines.append(f"  {finding.check} {finding.verdict.value}: {finding.value or '?'}{wants}{source}")
        if (word := finding.accepted) is not None:
            why = f": {word.reason}" if word.reason else ""
            lines.append(f"    accepted until {word.until:%Y-%m-%d %H:%M} UTC by {word.by or '?'}{why}")
        if finding.clears and finding.needed:
            lines.append(f"    would be cleared by: {finding.clears}")
        if (
            finding.verdict is not Verdict.PASS
        ):  # what one that passed ended with may be the middle of its JSON
            lines += [f"    | {line}" for line in finding.tail]
    if absent:
        lines.append(f"  not judged, for nobody tells it or gave a limit: {', '.join(absent)}")
    return [_printable(line) for line in lines]


def _source(finding: Finding, judged: datetime | None) -> str:
    """Where a value came from, and how old it was."""
    if finding.at is None or judged is None:
        return f"{finding.source}, age unknown"
    seconds = max(0, int((judged - finding.at).total_seconds()))
    return f"{finding.source}, {seconds} s old"


def _printable(line: str) -> str:
    """A line as it may be printed, its indent kept: `clean` takes the ends off whatever is not plain ASCII."""
    told = line.lstrip(" ")
    return line[: len(line) - len(told)] + clean(told)


def of_node(name: str, says: str) -> str:
    """What is said of a node, its name said once: an error often begins with it."""
    return f"{name}: {says.removeprefix(f'{name}: ')}"


def _number(value: float | None, unit: str) -> str:
    return "?" if value is None else f"{value:.0f}{unit}"
