"""How values are said in few cells: spans, ages, ratios, image names. Unknown is `?`, never zero and never blank."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from widgets.fitting import printable

UNKNOWN = "?"


def known(value: float | None) -> float | None:
    """`value`, or None where it is not a finite number."""
    return value if value is not None and math.isfinite(value) else None


def span(length: timedelta) -> str:
    """A span in at most four cells: `8s`, `12m`, `3h`, `41d`, `3y`."""
    seconds = max(0, int(length.total_seconds()))
    for limit, unit, size in ((60, "s", 1), (3600, "m", 60), (86400, "h", 3600), (86400 * 999, "d", 86400)):
        if seconds < limit:
            return f"{seconds // size}{unit}"
    return f"{seconds // (86400 * 365)}y"


def age(then: datetime | None, now: datetime) -> str:
    """How long ago, or `?`."""
    return UNKNOWN if then is None else span(now - then)


def number(value: float | None, digits: int = 0) -> str:
    """A number with so many decimals, or `?`."""
    return UNKNOWN if known(value) is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A percentage given as 0 to 100, or `?`."""
    return UNKNOWN if known(value) is None else f"{value:.0f}%"


def image_name(reference: str | None) -> str:
    """An image reference without its registry path, or `?`."""
    if not reference:
        return UNKNOWN
    return printable(reference).rsplit("/", 1)[-1] or UNKNOWN


def image_change(running: str | None, desired: str | None, arrow: str = "→") -> str:
    """`v1→v2`, with a common name before the tags said once (`base:v1→v2`), or one name where they agree."""
    old, new = image_name(running), image_name(desired)
    if desired is None or running == desired:
        return old
    name, tag, version = new.rpartition(":")
    if tag and old.startswith(f"{name}:"):
        return f"{old}{arrow}{version}"
    return f"{old}{arrow}{new}"


def of_all(part: int | None, whole: int | None) -> str:
    """`6 of 8`: a bare fraction leaves open which side is free."""
    return f"{UNKNOWN if part is None else part} of {UNKNOWN if whole is None else whole}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 node`, `3 nodes`, `12,000 nodes`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
