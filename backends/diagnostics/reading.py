"""What the output of a diagnostic came to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleet.health import Verdict


@dataclass(frozen=True, slots=True)
class Reading:
    """A verdict with what was seen, what was wanted, and what would clear it; texts for people, cleaned."""

    verdict: Verdict
    value: str
    threshold: str = ""
    clears: str = ""


def said_around(marker: re.Pattern[str], output: str, reach: int) -> str:
    """The first place where the output says it, with up to `reach` characters of its line either side; empty where it doesn't.

    A pattern that itself began with what may be anything would take minutes over one long line.
    """
    found = marker.search(output)
    if found is None:
        return ""
    line = output.rfind("\n", 0, found.start()) + 1
    end = output.find("\n", found.end())
    until = found.end() + reach
    return output[max(line, found.start() - reach) : until if end < 0 else min(end, until)].strip()
