"""Findings and verdicts: what a gate saw, with its evidence. UNKNOWN never admits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Verdict(Enum):
    """The sum of a gate's findings, or one finding's."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    WARN = "WARN"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"

    @property
    def admits(self) -> bool:
        return self in (Verdict.PASS, Verdict.WARN)


_ORDER = (Verdict.PASS, Verdict.WARN, Verdict.UNKNOWN, Verdict.FAIL)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result with its evidence.

    `value` and `threshold` are texts as shown to people; `source` says where the value came from; `at` when it was
    observed; `clears` says what would clear it.
    """

    check: str
    verdict: Verdict
    value: str = ""
    threshold: str = ""
    source: str = ""
    at: datetime | None = None
    clears: str = ""
    needed: bool = True


@dataclass(frozen=True, slots=True)
class GateRecord:
    """What a gate decided about a node, as kept on the node (failing findings only) or in the journal (all)."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    at: datetime | None = None
    by: str = ""
    digest: str = ""


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """The worst of the findings. No finding at all is UNKNOWN; an unknown check that is not needed only warns."""
    verdicts = [
        Verdict.WARN if finding.verdict is Verdict.UNKNOWN and not finding.needed else finding.verdict
        for finding in findings
    ]
    if not verdicts:
        return Verdict.UNKNOWN
    return max(verdicts, key=_ORDER.index)
