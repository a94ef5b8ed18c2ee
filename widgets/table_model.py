"""What the fleet table asks of whoever has the lines. It never walks them all: only those on screen are asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from fleet.groups import GroupKey
from fleet.node import NodeKey
from widgets.cells import Cell, Scene
from widgets.columns import Column


class LineKind(Enum):
    """Groups are folded and unfolded; nodes are opened."""

    CATEGORY = "category"
    IMAGE = "image"
    NODE = "node"


LineKey = NodeKey | GroupKey


class Line(NamedTuple):
    """One line of the table. `depth` indents it; `folded` is None where there is nothing to fold."""

    key: LineKey
    kind: LineKind
    depth: int = 0
    folded: bool | None = None


class TableModel(Protocol):
    """The lines in their order. Each call but `nodes_of` costs nothing that grows with the fleet."""

    def __len__(self) -> int: ...

    def line(self, index: int) -> Line:
        """The line at `index`, 0 to len - 1."""
        ...

    def index_of(self, key: LineKey) -> int | None:
        """Where a line is now; None where it is not (folded away, filtered out, gone)."""
        ...

    def cells(self, index: int, columns: Sequence[Column], scene: Scene) -> Sequence[Cell]:
        """What the line shows, one cell a column."""
        ...

    def parent(self, index: int) -> int | None:
        """Where the group of the line at `index` is; None at the top."""
        ...

    def nodes_of(self, index: int) -> Collection[NodeKey]:
        """The nodes of the group at `index`, folded or not, or the node itself."""
        ...

    def all_nodes(self) -> Collection[NodeKey]:
        """Every node that the filter lets through."""
        ...
