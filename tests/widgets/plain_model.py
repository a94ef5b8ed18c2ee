"""A table model over a list of rows: one category line, one line an image version, one a node."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fleet.groups import FleetGroups, GroupKey
from fleet.node import NodeKey
from fleet.row import FleetRow
from widgets.cells import Cell, Scene, cells
from widgets.columns import Column
from widgets.group_cells import group_cells
from widgets.table_model import Line, LineKey, LineKind


class PlainModel:
    """Rows in the order given, grouped; groups in `folded` hide theirs. Call `arrange` after changing anything."""

    def __init__(self, rows: Sequence[FleetRow]) -> None:
        self.rows: dict[NodeKey, FleetRow] = {row.node.key: row for row in rows}
        self.folded: set[GroupKey] = set()
        self.cells_asked = 0
        self.arrange()

    def arrange(self, order: Sequence[NodeKey] | None = None) -> None:
        tree: dict[str, dict[str | None, list[NodeKey]]] = {}
        for key in order if order is not None else self.rows:
            node = self.rows[key].node
            tree.setdefault(node.category, {}).setdefault(node.image.running, []).append(key)
        self.lines: list[Line] = []
        self.members: dict[LineKey, list[NodeKey]] = {}
        self.parents: list[int | None] = []
        for category, images in tree.items():
            top = GroupKey(category)
            self.members[top] = [key for keys in images.values() for key in keys]
            above = self._add(Line(top, LineKind.CATEGORY, 0, top in self.folded), None)
            if top in self.folded:
                continue
            for image, keys in images.items():
                group = GroupKey(category, image, 1)
                self.members[group] = keys
                at = self._add(Line(group, LineKind.IMAGE, 1, group in self.folded), above)
                if group not in self.folded:
                    for key in keys:
                        self._add(Line(key, LineKind.NODE, 2), at)
        self.where = {line.key: index for index, line in enumerate(self.lines)}

    def _add(self, line: Line, parent: int | None) -> int:
        self.lines.append(line)
        self.parents.append(parent)
        return len(self.lines) - 1

    def __len__(self) -> int:
        return len(self.lines)

    def line(self, index: int) -> Line:
        return self.lines[index]

    def index_of(self, key: LineKey) -> int | None:
        return self.where.get(key)

    def cells(self, index: int, columns: Sequence[Column], scene: Scene) -> Sequence[Cell]:
        self.cells_asked += 1
        key = self.lines[index].key
        if isinstance(key, NodeKey):
            return cells(self.rows[key], scene, columns)
        return group_cells(key, FleetGroups.of(self.rows.values()).totals(key), scene, columns)

    def parent(self, index: int) -> int | None:
        return self.parents[index]

    def nodes_of(self, index: int) -> Collection[NodeKey]:
        key = self.lines[index].key
        return [key] if isinstance(key, NodeKey) else self.members[key]

    def all_nodes(self) -> Collection[NodeKey]:
        return [key for key in self.rows if key in self.where] or list(self.rows)
