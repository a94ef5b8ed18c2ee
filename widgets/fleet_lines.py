"""The fleet's view and store as the table's lines: which values a line shows, and nothing of how they look."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fleet.groups import GroupKey
from fleet.node import NodeKey
from fleet.store import FleetStore
from fleet.view import FleetView, Line, LineKey
from widgets.cells import UNKNOWN_CELL, Cell, Scene, cells
from widgets.columns import Column
from widgets.group_cells import group_cells


class FleetLines:
    """A `TableModel` over a view and its store. It reads; refreshing the view is the application's."""

    def __init__(self, store: FleetStore, view: FleetView) -> None:
        self._store = store
        self._view = view

    def __len__(self) -> int:
        return len(self._view)

    def line(self, index: int) -> Line:
        return self._view[index]

    def index_of(self, key: LineKey) -> int | None:
        return self._view.index_of(key)

    def cells(self, line: Line, columns: Sequence[Column], scene: Scene) -> Sequence[Cell]:
        if isinstance(line.key, GroupKey):
            return group_cells(line.key, self._view.totals(line.key), scene, columns)
        row = self._store.record(line.key)
        if row is None:
            return _gone(line.key, columns)
        return cells(row, scene, columns)

    def nodes_of(self, line: Line) -> Collection[NodeKey]:
        return self._view.nodes_of(line.key) if isinstance(line.key, GroupKey) else (line.key,)

    def all_nodes(self) -> Collection[NodeKey]:
        return self._view.nodes()


def _gone(key: NodeKey, columns: Sequence[Column]) -> list[Cell]:
    """A node that went, and whose line the next re-sort takes away."""
    return [Cell(key.name) if column is Column.NAME else UNKNOWN_CELL for column in columns]
