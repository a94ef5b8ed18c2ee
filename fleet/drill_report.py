"""What a walk came to: each stage's time, evidence and keys, on screen, as text and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

WATCHED = "watched"
NOTHING = "nothing did it"
"""What `Checkpoint.by` says of a step that asks for no key, and of one that was never done."""


class Ending(Enum):
    """How a walk ended. LEFT: before its end, by the operator. STUCK: a checkpoint could not be observed."""

    OBSERVED = "observed"
    LEFT = "left"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One step's checkpoint: observed with its evidence, or not, with what was missing.

    `by` says what did the step: a key of the operator's, `n`, or nothing (only watched). `took` is from its beginning.
    """

    stage: str
    step: str
    observed: bool
    evidence: tuple[str, ...]
    by: str
    at: datetime
    took: timedelta


@dataclass(frozen=True, slots=True)
class DrillReport:
    """A walk as it ended. `left` is what could not be removed; `removed` what a drill that was killed had left before, and
    `others` the ground of drills that somebody else walks. `unknown` could not be looked for; `made`: there was a ground to remove.
    """

    drill: str
    title: str
    source: str
    node: str
    namespace: str
    by: str
    started: datetime
    ended: datetime
    ending: Ending
    why: str
    steps: int
    checkpoints: tuple[Checkpoint, ...]
    left: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    made: bool = True

    @property
    def observed(self) -> bool:
        """Whether every checkpoint was."""
        return self.ending is Ending.OBSERVED

    @property
    def headline(self) -> str:
        """How it ended, in one line."""
        seen = sum(checkpoint.observed for checkpoint in self.checkpoints)
        count = f"{seen} of {self.steps} checkpoints observed"
        return f"{count}: {self.why}" if self.why else count


def text_of_report(report: DrillReport) -> Iterator[str]:
    """The report as lines of text."""
    yield f"{report.title} on {report.source}"
    yield report.headline
    yield (
        f"node {report.node}, namespace {report.namespace}, by {report.by}, "
        f"{report.started:%Y-%m-%d %H:%M:%S} UTC, {_span(report.ended - report.started)}"
    )
    stage = ""
    for checkpoint in report.checkpoints:
        if checkpoint.stage != stage:
            stage = checkpoint.stage
            took = sum((each.took for each in report.checkpoints if each.stage == stage), timedelta(0))
            yield ""
            yield f"{stage}  ({_span(took)})"
        mark = "observed" if checkpoint.observed else "NOT observed"
        yield f"  {checkpoint.step}: {mark} after {_span(checkpoint.took)}; {_did(checkpoint.by)}"
        yield from (f"    {line}" for line in checkpoint.evidence)
    yield ""
    for line in report.removed:
        yield f"removed from a drill that was killed: {line}"
    yield from (f"another drill: {line}" for line in report.others)
    yield from (f"NOT KNOWN: {line}" for line in report.unknown)
    yield from (f"STILL THERE: {line}" for line in report.left)
    if not report.made:
        yield "nothing of this drill was made"
    elif not report.left:
        yield "nothing of the drill is left on the cluster"


def shape_of_report(report: DrillReport) -> dict[str, object]:
    """The report as plain values."""
    return {
        "drill": report.drill,
        "title": report.title,
        "source": report.source,
        "node": report.node,
        "namespace": report.namespace,
        "by": report.by,
        "started": report.started.isoformat(),
        "ended": report.ended.isoformat(),
        "seconds": _seconds(report.ended - report.started),
        "ending": report.ending.value,
        "why": report.why or None,
        "observed": report.observed,
        "steps": report.steps,
        "stages": [
            {
                "stage": stage,
                "seconds": _seconds(
                    sum((each.took for each in report.checkpoints if each.stage == stage), timedelta(0))
                ),
                "checkpoints": [
                    _checkpoint_shape(each) for each in report.checkpoints if each.stage == stage
                ],
            }
            for stage in dict.fromkeys(each.stage for each in report.checkpoints)
        ],
        "left": list(report.left),
        "removed": list(report.removed),
        "others": list(report.others),
        "unknown": list(report.unknown),
    }


def _checkpoint_shape(checkpoint: Checkpoint) -> dict[str, object]:
    return {
        "step": checkpoint.step,
        "observed": checkpoint.observed,
        "evidence": list(checkpoint.evidence),
        "by": checkpoint.by,
        "at": checkpoint.at.isoformat(),
        "seconds": _seconds(checkpoint.took),
    }


def _did(by: str) -> str:
    """What did a step, in words: `done by key p`."""
    return by if by in (WATCHED, NOTHING) else f"done by {by}"


def _seconds(span: timedelta) -> float:
    return round(span.total_seconds(), 1)


def _span(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60} s"
