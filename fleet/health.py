"""Findings and verdicts: what a gate saw, with its evidence. UNKNOWN never admits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

BOOT_WAVERS = timedelta(seconds=3)


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
    boot_id: str = ""  # the boot that was judged: evidence newer than a fault is another boot


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """The worst of the findings. No finding at all is UNKNOWN; an unknown check that is not needed only warns."""
    verdicts = [
        Verdict.WARN if finding.verdict is Verdict.UNKNOWN and not finding.needed else finding.verdict
        for finding in findings
    ]
    if not verdicts:
        return Verdict.UNKNOWN
    return max(verdicts, key=_ORDER.index)


def failing(findings: Iterable[Finding]) -> str:
    """The findings that keep a node closed, each in a few words."""
    return "; ".join(
        f"{finding.check} {finding.verdict.value}" + (f" ({_seen(finding)})" if finding.value else "")
        for finding in findings
        if not finding.verdict.admits
    )


def digest(findings: Iterable[Finding]) -> str:
    """Twelve hexadecimal digits of what was found, the same for the same findings whenever they are made."""
    text = "\n".join(f"{item.check} {item.verdict.value} {item.value} {item.threshold}" for item in findings)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def same_boot(one: str, other: str) -> bool:
    """Whether two boot ids mean one boot: the same text, or two times less than BOOT_WAVERS apart.

    Slurm knows a boot by its time alone, which its agent reckons from the uptime, so that it wavers by a second or two.
    """
    if one == other:
        return True
    try:
        apart = datetime.fromisoformat(one) - datetime.fromisoformat(other)
    except (ValueError, TypeError, OverflowError):
        return False
    return abs(apart) < BOOT_WAVERS


def _seen(finding: Finding) -> str:
    return f"{finding.value}, wants {finding.threshold}" if finding.threshold else finding.value
