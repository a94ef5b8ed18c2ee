"""Which GPUs are held and do nothing, for sources that give rows: told only of what was seen idle all the while.

A GPU is idle where its utilisation is below 1 %, held where its exporter names a pod or a job beside it. How long is counted
from the first reading that showed it so; a reading that is missing starts the count anew, since nobody saw what it did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from fleet.telemetry import GpuTelemetry, NodeTelemetry

IDLE_AFTER = timedelta(minutes=15)
"""How long a GPU must have been held and idle to be told of."""

IDLE_BELOW = 1.0
"""Percent of utilisation below which a GPU is idle."""

_NAMED = 2

_Gpu = tuple[str, str, str, str, str]


def is_idle(row: GpuTelemetry) -> bool | None:
    """Whether a GPU does nothing now; None where it does not tell. A MIG instance tells by its engine alone."""
    if row.util is not None:
        return row.util < IDLE_BELOW
    return None if row.engine_active is None else 100 * row.engine_active < IDLE_BELOW


def holders(counts: Mapping[str, int]) -> str:
    """Who holds idle GPUs, the one with the most first: `ml/train-0, ml/eval-1 and 2 more`."""
    named = sorted(counts, key=lambda name: (-counts[name], name))
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more


class IdleWatch:
    """Remembers since when each held GPU is idle. As much as there are such GPUs, whatever the fleet's size."""

    def __init__(self, after: timedelta = IDLE_AFTER) -> None:
        self._after = after
        self._since: dict[_Gpu, datetime] = {}

    def look(
        self,
        sums: Mapping[str, NodeTelemetry],
        rows: Mapping[str, Sequence[GpuTelemetry]],
        now: datetime,
    ) -> dict[str, NodeTelemetry]:
        """The sums, each with the held and idle GPUs that its rows show."""
        before, self._since = self._since, {}
        return {
            name: self._told(name, summed, rows.get(name, ()), before, now) for name, summed in sums.items()
        }

    def _told(
        self,
        name: str,
        summed: NodeTelemetry,
        rows: Iterable[GpuTelemetry],
        before: Mapping[_Gpu, datetime],
        now: datetime,
    ) -> NodeTelemetry:
        counts: Counter[str] = Counter()
        held = False
        for row in rows:
            held = held or bool(row.held_by)
            if row.held_by and is_idle(row):
                gpu = (name, row.gpu, row.uuid, row.instance, row.held_by)
                since = self._since[gpu] = before.get(gpu, now)
                if now - since >= self._after:
                    counts[row.held_by] += 1
        if not held:
            return summed
        return replace(summed, idle_held=counts.total(), idle_holder=holders(counts))
