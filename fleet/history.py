"""The recent past of GPUs as lines on a grid of even steps: what a chart draws. A step that nobody saw is None, never zero.

Values only. `fleet.trails` keeps the past that this program saw itself; a source may know more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from math import isfinite


class Metric(Enum):
    """What has a history. UTIL and MEMORY in percent, TEMP in degrees Celsius, POWER in watts."""

    UTIL = "utilisation"
    TEMP = "temperature"
    POWER = "power"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Span:
    """How far a chart goes back, and in which steps: at most some hundred points a line."""

    name: str
    length: timedelta
    step: timedelta

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return self.length // self.step


SPANS: tuple[Span, ...] = (
    Span("15 min", timedelta(minutes=15), timedelta(seconds=15)),
    Span("1 h", timedelta(hours=1), timedelta(seconds=15)),
    Span("6 h", timedelta(hours=6), timedelta(seconds=90)),
    Span("24 h", timedelta(hours=24), timedelta(minutes=6)),
)
"""What can be asked for, the shortest first."""


@dataclass(frozen=True, slots=True)
class Line:
    """One GPU (`0`), one MIG instance (`0.7`) or the whole node (`mean`), a value a step, the oldest first.

    What is no number (NaN, an infinity) is a gap.
    """

    name: str
    values: tuple[float | None, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", gaps(self.values))

    @property
    def last(self) -> float | None:
        """The newest value that is known."""
        return next((value for value in reversed(self.values) if value is not None), None)


@dataclass(frozen=True, slots=True)
class NodeHistory:
    """One node's past over a span that ends at `end`.

    `source` says whose memory it is. `since` is when that memory begins, where it does not reach as far as was asked.
    `slowdown` degrees Celsius, where the hardware slows down, None where that is not told.
    """

    span: Span
    end: datetime
    lines: Mapping[Metric, tuple[Line, ...]] = field(default_factory=dict)
    source: str = ""
    since: datetime | None = None
    slowdown: float | None = None

    def of(self, metric: Metric) -> tuple[Line, ...]:
        return self.lines.get(metric, ())

    def __bool__(self) -> bool:
        return any(line.last is not None for lines in self.lines.values() for line in lines)


def known(value: float | None) -> float | None:
    """The value, None where it is no number."""
    return value if value is not None and isfinite(value) else None


def gaps(values: Iterable[float | None]) -> tuple[float | None, ...]:
    """The values, with a gap for each that is no number."""
    return tuple(map(known, values))


def means(values: Sequence[float | None], parts: int) -> list[float | None]:
    """The values in `parts` means of neighbours; a part in which nothing is known is unknown."""
    if len(values) <= parts:
        return [None] * (parts - len(values)) + list(values)
    told: list[float | None] = []
    for part in range(parts):
        first, last = part * len(values) // parts, (part + 1) * len(values) // parts
        found = [value for value in values[first:last] if value is not None]
        told.append(sum(found) / len(found) if found else None)
    return told
