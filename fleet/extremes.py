"""A node's share of its groups' worst: kept in histograms, so that the worst survives when the node that was it changes or goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import NamedTuple

from fleet.severity import Concern, Severity
from fleet.telemetry import NodeTelemetry


class Extremes(NamedTuple):
    """What of a node may be the worst of its group, in whole numbers; None is unknown.

    `hottest` degrees Celsius of its hottest GPU, `margin` degrees that its GPU nearest to slowing down has left, `low` and
    `high` percent of its least and most used GPU, `trouble` its worst concern: how severe, and what about.
    """

    hottest: int | None = None
    margin: int | None = None
    low: int | None = None
    high: int | None = None
    trouble: tuple[int, str] | None = None


_FIELDS = range(len(Extremes._fields))


def extremes_of(telemetry: NodeTelemetry | None, worst: Concern | None) -> Extremes:
    """One node's share."""
    trouble = (int(worst.severity), worst.about) if worst is not None else None
    if telemetry is None:
        return Extremes(trouble=trouble)
    low, high = telemetry.gpu_util_min, telemetry.gpu_util_max
    return Extremes(
        _whole(telemetry.gpu_temp_max),
        _whole(telemetry.temp_margin_min),
        _whole(telemetry.gpu_util if low is None else low),
        _whole(telemetry.gpu_util if high is None else high),
        trouble,
    )


class Histograms:
    """How many nodes of a group have which value of each field. One node's change is one change here."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: tuple[dict[object, int], ...] = tuple({} for _ in _FIELDS)

    def add(self, nodes: Iterable[Extremes]) -> None:
        """Count many nodes in."""
        for counts, values in zip(self._counts, zip(*nodes, strict=True), strict=False):
            for value, count in Counter(values).items():
                counts[value] = counts.get(value, 0) + count

    def put(self, node: Extremes) -> None:
        """Count one node in."""
        for counts, value in zip(self._counts, node, strict=True):
            counts[value] = counts.get(value, 0) + 1

    def move(self, old: Extremes, new: Extremes) -> None:
        """Count a node that is other than it was."""
        for field in _FIELDS:
            if old[field] != new[field]:
                counts = self._counts[field]
                counts[new[field]] = counts.get(new[field], 0) + 1
                _out(counts, old[field])

    def take(self, node: Extremes) -> None:
        """Count a node out."""
        for counts, value in zip(self._counts, node, strict=True):
            _out(counts, value)

    def worst(self) -> Extremes:
        """The worst of each field; of the gravest troubles the most frequent."""
        hottest, margin, low, high, trouble = self._counts
        return Extremes(
            max(_known(hottest), default=None),
            min(_known(margin), default=None),
            min(_known(low), default=None),
            max(_known(high), default=None),
            _gravest(trouble),
        )


def _out(counts: dict[object, int], value: object) -> None:
    left = counts[value] - 1
    if left:
        counts[value] = left
    else:
        del counts[value]


def _known(counts: Mapping[object, int]) -> list[int]:
    return [value for value in counts if isinstance(value, int)]


def _gravest(counts: Mapping[object, int]) -> tuple[int, str] | None:
    known = [(value, count) for value, count in counts.items() if isinstance(value, tuple)]
    if not known:
        return None
    return max(known, key=lambda each: (each[0][0], each[1], each[0][1]))[0]


def _whole(value: float | None) -> int | None:
    if value is None or not isfinite(value):
        return None
    return min(max(round(value), -273), 999)


def about(trouble: tuple[int, str] | None, severity: Severity) -> str:
    """What the gravest trouble is about, where it is of that severity; empty where it is not."""
    return trouble[1] if trouble is not None and trouble[0] == severity else ""
