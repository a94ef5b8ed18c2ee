"""The columns of the fleet table, and which of them a width has room for. Nothing ever wraps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from fleet import sorting


class Column(Enum):
    """A column of the fleet table. The value is its name in settings and in sort messages."""

    NAME = "name"
    STAGE = "stage"
    ADMISSION = "admission"
    GPUS = "gpus"
    UTIL = "util"
    TREND = "trend"
    TEMP = "temp"
    MARGIN = "margin"
    MEMORY = "memory"
    POWER = "power"
    XID = "xid"
    IMAGE = "image"
    HOLDER = "holder"
    WORK = "work"
    AGE = "age"
    SOURCE = "source"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Shape:
    """How a column is laid out: `width` cells at least, of which `bar` draw a ratio, after a gap of `gap`."""

    title: str
    width: int
    right: bool = False
    bar: int = 0
    gap: int = 1


SHAPES: dict[Column, Shape] = {
    Column.NAME: Shape("node", 20),
    Column.STAGE: Shape("state", 14),
    Column.ADMISSION: Shape("admission", 10),
    Column.GPUS: Shape("GPUs used", 10, right=True),
    Column.UTIL: Shape("util", 10, right=True, bar=5),
    Column.TREND: Shape("last 15 min", 12),
    Column.TEMP: Shape("°C", 5, right=True),
    Column.MARGIN: Shape("left", 4, right=True),
    Column.MEMORY: Shape("mem", 5, right=True),
    Column.POWER: Shape("kW", 5, right=True),
    Column.XID: Shape("XID", 7, right=True),
    Column.IMAGE: Shape("image", 14, gap=2),
    Column.HOLDER: Shape("held by", 16),
    Column.WORK: Shape("work", 12),
    Column.AGE: Shape("age", 5, right=True),
    Column.SOURCE: Shape("source", 10),
    Column.STATUS: Shape("now", 13, gap=2),
}

SORTS: dict[Column, tuple[sorting.Column, ...]] = {
    Column.NAME: (sorting.Column.NAME,),
    Column.STAGE: (sorting.Column.STAGE,),
    Column.ADMISSION: (sorting.Column.ADMISSION, sorting.Column.READY),
    Column.GPUS: (sorting.Column.GPUS_USED, sorting.Column.GPUS),
    Column.UTIL: (sorting.Column.GPU_UTIL,),
    Column.TEMP: (sorting.Column.GPU_TEMP,),
    Column.MARGIN: (sorting.Column.GPU_MARGIN,),
    Column.MEMORY: (sorting.Column.FB_USED,),
    Column.POWER: (sorting.Column.POWER,),
    Column.XID: (sorting.Column.XID,),
    Column.IMAGE: (sorting.Column.IMAGE,),
    Column.HOLDER: (sorting.Column.HOLDER,),
    Column.WORK: (sorting.Column.WORKLOADS,),
    Column.AGE: (sorting.Column.AGE,),
    Column.SOURCE: (sorting.Column.SOURCE,),
    Column.STATUS: (sorting.Column.PROBLEM, sorting.Column.HEALTH),
}
"""The orders a column's title stands for; a press on it asks for the first. A column that is not here orders nothing."""

DEFAULT_COLUMNS: tuple[Column, ...] = tuple(column for column in Column if column is not Column.SOURCE)

_FIRST_TO_GO = (
    Column.SOURCE,
    Column.AGE,
    Column.MARGIN,
    Column.ADMISSION,
    Column.TREND,
    Column.POWER,
    Column.MEMORY,
    Column.WORK,
    Column.HOLDER,
    Column.XID,
    Column.IMAGE,
    Column.GPUS,
    Column.TEMP,
    Column.UTIL,
    Column.STAGE,
)
_CORE = frozenset({Column.STAGE, Column.GPUS, Column.UTIL, Column.TEMP})
_EASE = 12
"""Cells more for the status before any column beyond the core ones is shown."""

_NARROW = 100
"""Below so many cells what is wrong gets the cells of how busy the node is."""

_TIGHT = {Column.GPUS: 8, Column.UTIL: 5, Column.TEMP: 4}
"""Cells of columns on a narrow screen: `8 of 8` fits, and a utilisation has no bar."""

_BESIDE = 72
"""Below so many cells the pane stands beside the table, and tells of the node under the cursor what its status can't."""

_YIELDS = (Column.GPUS, Column.TEMP, Column.UTIL)
"""Who gives way to the status on a narrow screen, the first one first: what a GPU does says more than who asked for it."""

_TOLD = 26
"""Cells that the status of a narrow screen wants before those numbers are shown: what of them is wrong, it says."""

_TOLD_BESIDE = 12
"""Cells that it wants beside the pane."""

_GROWTH = (
    (Column.STATUS, 30),
    (Column.NAME, 24),
    (Column.STATUS, 40),
    (Column.NAME, 34),
    (Column.HOLDER, 30),
    (Column.IMAGE, 24),
    (Column.WORK, 26),
    (Column.SOURCE, 14),
)
"""Who gets spare cells, and up to how many, in this order; the status takes what is left."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A column with the cells it got."""

    column: Column
    width: int

    @property
    def gap(self) -> int:
        """The cells before it, where it is not the first."""
        return SHAPES[self.column].gap


def place(width: int, wanted: Sequence[Column] = DEFAULT_COLUMNS) -> tuple[Placed, ...]:
    """The wanted columns that `width` cells have room for, with their gaps between them, filling it exactly.

    Name and status always stay. The least telling goes first; what is left over goes to the names, then to the status.
    """
    kept = [column for column in wanted if column not in (Column.NAME, Column.STATUS)]
    for column in _FIRST_TO_GO:
        ease = 0 if _CORE.issuperset(kept) else _EASE
        taken = (_tight if width < _NARROW else _beside_status)([Column.NAME, *kept, Column.STATUS])
        if taken + SHAPES[Column.STATUS].width + ease <= width:
            break
        if column in kept:
            kept.remove(column)
    if width < _NARROW:
        wants = _TOLD_BESIDE if width < _BESIDE else _TOLD
        for column in _YIELDS:
            if column in kept and width - _tight([Column.NAME, *kept, Column.STATUS]) < wants:
                kept.remove(column)
    columns = [Column.NAME, *kept, Column.STATUS]
    widths = {column: SHAPES[column].width for column in columns}
    if width < _NARROW:
        widths |= {column: least for column, least in _TIGHT.items() if column in widths}
    spare = width - sum(widths[column] + SHAPES[column].gap for column in columns) + SHAPES[columns[0]].gap
    if spare < 0:
        name = max(0, min(SHAPES[Column.NAME].width, width * 3 // 5))
        return (
            Placed(Column.NAME, name),
            Placed(Column.STATUS, max(0, width - name - SHAPES[Column.STATUS].gap)),
        )
    for column, most in _GROWTH:
        if column in widths:
            more = min(spare, max(0, most - widths[column]))
            widths[column] += more
            spare -= more
    widths[Column.STATUS] += spare
    return tuple(Placed(column, widths[column]) for column in columns)


def _tight(columns: Sequence[Column]) -> int:
    """The cells a narrow screen's columns take beside the status."""
    saved = sum(SHAPES[column].width - least for column, least in _TIGHT.items() if column in columns)
    return _beside_status(columns) - saved


def _beside_status(columns: Sequence[Column]) -> int:
    """The cells that columns take, but for the status itself."""
    taken = sum(SHAPES[column].width + SHAPES[column].gap for column in columns) - SHAPES[columns[0]].gap
    return taken - SHAPES[Column.STATUS].width
