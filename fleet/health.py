"""Findings and verdicts: what a gate saw, with its evidence. UNKNOWN never admits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

BOOT_WAVERS = timedelta(seconds=3)

CLOCKS_DIFFER = timedelta(minutes=5)
"""How far the clock of another operator's machine may run ahead of ours and its word still count."""


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
class Acceptance:
    """Break-glass: a person's word that one check of one node may stay UNKNOWN until a time. A FAIL is never accepted."""

    check: str
    by: str
    reason: str
    since: datetime
    until: datetime

    def holds(self, now: datetime, at_most: timedelta) -> bool:
        """Whether it counts at `now`. Written for longer than `at_most`, it ends by that all the same."""
        return self.since <= now + CLOCKS_DIFFER and now < min(self.until, self.since + at_most)


@dataclass(frozen=True, slots=True)
class Repair:
    """A person's word that what failed was mended: evidence for the one fault that `answers` names, and for no later one."""

    by: str
    says: str
    at: datetime
    answers: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result with its evidence.

    `value` and `threshold` are texts as shown to people; `source` says where the value came from; `at` when it was
    observed; `clears` says what would clear it. `absent`: nobody reports what it reads, and the category does not need it,
    so that it says nothing for or against the node. `final`: waiting changes nothing of it. `accepted` is the word of a person
    by which an UNKNOWN keeps nothing closed. `unread` says of whom nothing is known beside a fault that was found: a needed check
    that would only warn of that fault is UNKNOWN all the same. `tail` is what an active check printed last, cleaned: kept in the
    journal, not on the node.
    """

    check: str
    verdict: Verdict
    value: str = ""
    threshold: str = ""
    source: str = ""
    at: datetime | None = None
    clears: str = ""
    needed: bool = True
    absent: bool = False
    final: bool = False
    accepted: Acceptance | None = None
    tail: tuple[str, ...] = ()
    unread: str = ""


@dataclass(frozen=True, slots=True)
class GateRecord:
    """What a gate decided about a node, as kept on the node (failing findings only) or in the journal (all).

    `digest` ties the two; `policy` is the digest of the rules that it was judged by.
    """

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    at: datetime | None = None
    by: str = ""
    digest: str = ""
    boot_id: str = ""  # the boot that was judged: evidence newer than a fault is another boot
    policy: str = ""


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """The worst of the findings. No finding at all is UNKNOWN; an unknown check that is not needed, or was accepted, only warns."""
    verdicts = [weight_of(finding) for finding in findings if not counts_for_nothing(finding)]
    if not verdicts:
        return Verdict.UNKNOWN
    return max(verdicts, key=_ORDER.index)


def weight_of(finding: Finding) -> Verdict:
    """What a finding counts as. It stays what it is: nobody's word makes an UNKNOWN known."""
    lighter = not finding.needed or finding.accepted is not None
    return Verdict.WARN if finding.verdict is Verdict.UNKNOWN and lighter else finding.verdict


def counts_for_nothing(finding: Finding) -> bool:
    """Whether a finding is there for completeness alone: nobody exports its metric, and nobody needs it."""
    return finding.absent and not finding.needed and finding.verdict is Verdict.UNKNOWN


def failing(findings: Iterable[Finding]) -> str:
    """The findings that keep a node closed, each in a few words."""
    return "; ".join(
        f"{finding.check} {finding.verdict.value}" + (f" ({_seen(finding)})" if finding.value else "")
        for finding in findings
        if not weight_of(finding).admits
    )


def digest(findings: Iterable[Finding]) -> str:
    """Twelve hexadecimal digits of what was found, the same for the same findings whenever they are made."""
    text = "\n".join(map(_told, findings))
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


def _told(finding: Finding) -> str:
    said = f"{finding.check} {finding.verdict.value} {finding.value} {finding.threshold}"
    word = finding.accepted
    return said if word is None else f"{said} accepted by {word.by} until {word.until.isoformat()}"


def _seen(finding: Finding) -> str:
    return f"{finding.value}, wants {finding.threshold}" if finding.threshold else finding.value
