"""What the fleet table asks of whoever has the lines. It never walks them all: only those on screen are asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from fleet.node import NodeKey
from fleet.view import Line, LineKey
from widgets.cells import Cell, Scene
from widgets.columns import Column


class TableModel(Protocol):
    """The lines in their order. No call but the last two costs anything that grows with the fleet."""

    def __len__(self) -> int: ...

    def line(self, index: int) -> Line:
        """The line at `index`, 0 to len - 1."""
        ...

    def index_of(self, key: LineKey) -> int | None:
        """Where a line is now; None where it is not (folded away, filtered out, gone)."""
        ...

    def cells(self, line: Line, columns: Sequence[Column], scene: Scene) -> Sequence[Cell]:
        """What the line shows, one cell a column."""
        ...

    def nodes_of(self, line: Line) -> Collection[NodeKey]:
        """The nodes of a group's line, folded or not, or the node itself."""
        ...

    def all_nodes(self) -> Collection[NodeKey]:
        """Every node that the filter lets through."""
        ...
