"""What a benchmark says: one figure a line, beside the floor or the peer that was measured in the same run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked: `nodes` of a big fleet, `few` of a small one, `repeats` of what takes seconds, `keys` pressed.

    `pods` fill the big fleet up; `wide` also measures what takes minutes.
    """

    nodes: int = 10_000
    few: int = 1_000
    pods: int = 150_000
    repeats: int = 5
    keys: int = 150
    seconds: float = 20.0
    wide: bool = False


FULL = Size()
QUICK = Size(nodes=1_000, few=300, pods=5_000, repeats=3, keys=40, seconds=5.0)


@dataclass(frozen=True, slots=True)
class Figure:
    """A median of `n` measurements. `floor` is what can't be beaten, `peer` what others do; `note` says what to mind.

    `ratio` is value to floor, or to the peer where there is no floor: below 1 is better than it.
    """

    name: str
    value: float
    unit: str
    n: int
    floor: float | None = None
    peer: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        against = self.floor if self.floor is not None else self.peer
        return round(self.value / against, 3) if against else None

    def line(self) -> str:
        """The figure as one line of JSON."""
        said: dict[str, object] = {"name": self.name, "value": round(self.value, 3), "unit": self.unit}
        for name, against in (("floor", self.floor), ("peer", self.peer)):
            if against is not None:
                said[name] = round(against, 3)
        said |= {"ratio": self.ratio, "n": self.n}
        if self.note:
            said["note"] = self.note
        return json.dumps(said)


Benchmark = Callable[[Size], Iterator[Figure]]


def alternating(repeats: int, *measures: Callable[[], float]) -> tuple[float, ...]:
    """The median of each of several measures, taken in turns so that a busy moment of the machine falls on all."""
    taken: list[list[float]] = [[] for _ in measures]
    for _ in range(repeats):
        for measure, into in zip(measures, taken, strict=True):
            into.append(measure())
    return tuple(median(each) for each in taken)


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """The median time of `work`."""
    return median(timed(work) for _ in range(repeats)) * 1000


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes, once."""
    began = perf_counter()
    work()
    return perf_counter() - began


def percentile(values: Sequence[float], hundredths: int) -> float:
    """The value that so many of a hundred do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * hundredths // 100)]
