"""What the output of a diagnostic came to."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.health import Verdict


@dataclass(frozen=True, slots=True)
class Reading:
    """A verdict with what was seen, what was wanted, and what would clear it; texts for people, cleaned."""

    verdict: Verdict
    value: str
    threshold: str = ""
    clears: str = ""
