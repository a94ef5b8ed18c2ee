"""The orders a fleet can be shown in. Whatever the direction, what is unknown comes last and names settle ties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any

from fleet.naming import natural
from fleet.node import Admission, NodeKey, Readiness, Stage
from fleet.policy import Policy
from fleet.row import FleetRow
from fleet.severity import severity_at

Rank = Callable[[FleetRow], float | None] | Callable[[FleetRow], str | None]
"""Reads what a row is sorted by; None is unknown. One such function gives numbers only, or texts only."""


class Column(Enum):
    """What nodes can be sorted by. PROBLEM sorts the groups too, the others only the nodes within each."""

    NAME = "name"
    SOURCE = "source"
    STAGE = "stage"
    ADMISSION = "admission"
    READY = "ready"
    HEALTH = "health"
    PROBLEM = "problem"
    IMAGE = "image"
    GPUS = "gpus"
    GPUS_USED = "gpus_used"
    WORKLOADS = "workloads"
    GPU_UTIL = "gpu_util"
    GPU_TEMP = "gpu_temp"
    GPU_MARGIN = "gpu_margin"
    FB_USED = "fb_used"
    POWER = "power"
    XID = "xid"
    HOLDER = "holder"
    RACK = "rack"
    AGE = "age"

    @property
    def largest_first(self) -> bool:
        """Whether one who sorts by it looks for its largest values."""
        return self in _LARGEST_FIRST


_LARGEST_FIRST = frozenset(
    {
        Column.HEALTH,
        Column.PROBLEM,
        Column.GPUS,
        Column.GPUS_USED,
        Column.WORKLOADS,
        Column.GPU_UTIL,
        Column.GPU_TEMP,
        Column.FB_USED,
        Column.POWER,
        Column.XID,
    }
)


@dataclass(frozen=True, slots=True)
class Sort:
    """A column and its direction."""

    column: Column = Column.NAME
    descending: bool = False

    @classmethod
    def by(cls, column: Column) -> Sort:
        """Sorted by a column in the direction that is looked for first."""
        return cls(column, descending=column.largest_first)

    @property
    def reversed(self) -> Sort:
        return Sort(self.column, descending=not self.descending)


BY_NAME = Sort()
WORST_FIRST = Sort.by(Column.PROBLEM)

_STAGES = {stage: place for place, stage in enumerate(Stage)}
_ADMISSIONS = {admission: place for place, admission in enumerate(Admission)}
_READINESS = {Readiness.READY: 0, Readiness.NOT_READY: 1}
_MOVING = (Stage.DRAINING, Stage.REIMAGING, Stage.PROVISIONING)
_natural = lru_cache(maxsize=4096)(natural)


def rank_by(column: Column, now: datetime, policy: Policy) -> Rank:
    """The function that reads a column of a row. `now` tells what is overdue."""
    if column in (Column.HEALTH, Column.PROBLEM):

        def severity(row: FleetRow) -> float:
            return severity_at(row, now, policy) if row.node.stage in _MOVING else row.severity

        return severity
    return _RANKS[column]


def sorted_keys(keys: list[NodeKey], rows: list[FleetRow], sort: Sort, rank: Rank) -> list[NodeKey]:
    """`keys`, which come in the order of their names beside their rows, in the order asked for."""
    if sort.column is Column.NAME:
        return keys[::-1] if sort.descending else keys
    ranks: list[Any] = list(map(rank, rows))
    places = [place for place, found in enumerate(ranks) if found is not None]
    places.sort(key=ranks.__getitem__, reverse=sort.descending)
    if len(places) < len(ranks):
        places += [place for place, found in enumerate(ranks) if found is None]
    return [keys[place] for place in places]


def in_order(first: FleetRow, second: FleetRow, sort: Sort, rank: Rank) -> bool:
    """Whether two neighbours stand as `sorted_keys` would put them."""
    if sort.column is Column.NAME:
        return (first.order <= second.order) != (sort.descending and first.order != second.order)
    ranks = rank(first), rank(second)
    if ranks[0] == ranks[1]:
        return first.order <= second.order
    if ranks[0] is None or ranks[1] is None:
        return ranks[1] is None
    smaller: bool = ranks[0] < ranks[1]  # type: ignore[operator]  # both numbers, or both texts
    return smaller != sort.descending


def _measured(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _gpu_util(row: FleetRow) -> float | None:
    seen = row.telemetry
    return _measured(seen.gpu_util) if seen is not None else None


def _gpu_temp(row: FleetRow) -> float | None:
    seen = row.telemetry
    return _measured(seen.gpu_temp_max) if seen is not None else None


def _gpu_margin(row: FleetRow) -> float | None:
    seen = row.telemetry
    return _measured(seen.temp_margin_min) if seen is not None else None


def _fb_used(row: FleetRow) -> float | None:
    seen = row.telemetry
    return _measured(seen.fb_used_ratio) if seen is not None else None


def _power(row: FleetRow) -> float | None:
    seen = row.telemetry
    return _measured(seen.power_watts) if seen is not None else None


def _xid(row: FleetRow) -> float | None:
    return row.telemetry.xid if row.telemetry is not None else None


def _gpus_used(row: FleetRow) -> float | None:
    return row.work.gpus_used if row.work is not None else None


def _workloads(row: FleetRow) -> float | None:
    return len(row.work.workloads) if row.work is not None else None


def _age(row: FleetRow) -> float | None:
    return -row.node.created.timestamp() if row.node.created is not None else None


def _image(row: FleetRow) -> str | None:
    running = row.node.image.running
    return _natural(running) if running is not None else None


def _holder(row: FleetRow) -> str | None:
    holder = row.node.holder
    return holder.by.lower() if holder is not None else None


_RANKS: dict[Column, Rank] = {
    Column.NAME: lambda row: row.order,
    Column.SOURCE: lambda row: row.node.key.source,
    Column.STAGE: lambda row: _STAGES[row.node.stage],
    Column.ADMISSION: lambda row: _ADMISSIONS[row.node.admission],
    Column.READY: lambda row: _READINESS.get(row.node.readiness),
    Column.IMAGE: _image,
    Column.GPUS: lambda row: row.node.gpus_capacity,
    Column.GPUS_USED: _gpus_used,
    Column.WORKLOADS: _workloads,
    Column.GPU_UTIL: _gpu_util,
    Column.GPU_TEMP: _gpu_temp,
    Column.GPU_MARGIN: _gpu_margin,
    Column.FB_USED: _fb_used,
    Column.POWER: _power,
    Column.XID: _xid,
    Column.HOLDER: _holder,
    Column.RACK: lambda row: _natural(row.node.topology.rack) or None,
    Column.AGE: _age,
}
