"""Which nodes are marked, and what that makes of a group's line."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from fleet.node import NodeKey
from fleet.view import Line, LineKey
from widgets.table_model import TableModel


class Marks:
    """A set of nodes, hidden ones included. A group's own mark is counted once, and again when marks or lines change."""

    def __init__(self) -> None:
        self._nodes: set[NodeKey] = set()
        self._groups: dict[LineKey, bool | None] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def nodes(self) -> frozenset[NodeKey]:
        """The marked nodes."""
        return frozenset(self._nodes)

    def put(self, nodes: Iterable[NodeKey]) -> bool:
        """Mark exactly these; whether that is another set."""
        nodes = set(nodes)
        if nodes == self._nodes:
            return False
        self._nodes = nodes
        self._groups.clear()
        return True

    def toggled(self, nodes: Collection[NodeKey]) -> set[NodeKey]:
        """All of these marked besides the others; or where all are marked already, none of them."""
        return self._nodes.difference(nodes) if self._nodes.issuperset(nodes) else self._nodes.union(nodes)

    def recount(self) -> None:
        """Groups may hold other nodes now."""
        self._groups.clear()

    def of(self, line: Line, model: TableModel) -> bool | None:
        """Whether a line is marked; None for a group of which some are."""
        if not self._nodes:
            return False
        if isinstance(line.key, NodeKey):
            return line.key in self._nodes
        if line.key not in self._groups:
            nodes = model.nodes_of(line)
            marked = sum([node in self._nodes for node in nodes])
            self._groups[line.key] = True if marked == len(nodes) else None if marked else False
        return self._groups[line.key]
