"""Fleets for the table's tests: a real store and view under a model that counts what it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleet.node import Node, NodeKey
from fleet.observation import NodeGone, NodeSeen, TelemetrySeen, WorkSeen
from fleet.row import FleetRow
from fleet.sorting import BY_NAME, Sort
from fleet.store import FleetStore
from fleet.view import FleetView, Line
from tests.builders import NOW
from widgets.cells import Cell, Scene
from widgets.columns import Column
from widgets.fleet_lines import FleetLines


class CountedLines(FleetLines):
    """Lines that count how often their cells were asked for."""

    asked = 0

    def cells(self, line: Line, columns: Sequence[Column], scene: Scene) -> Sequence[Cell]:
        self.asked += 1
        return super().cells(line, columns, scene)


class TestFleet:
    """A store of rows, with a view that takes every change in at once."""

    __test__ = False

    def __init__(self, rows: Iterable[FleetRow]) -> None:
        self.store = FleetStore()
        for row in rows:
            self.store.apply(NodeSeen(row.node))
            self.store.apply(WorkSeen(row.key, row.work))
            self.store.apply(TelemetrySeen(row.key, row.telemetry))
        self.view = FleetView(self.store, NOW)
        self.lines = CountedLines(self.store, self.view)
        self._seen = self.store.revision

    def catch_up(self) -> frozenset[object]:
        """Let the view take in what the store has; what is to be painted."""
        changes = self.store.changes_since(self._seen)
        self._seen = changes.revision
        return frozenset(self.view.refresh(changes, NOW, resort=True).dirty)

    def see(self, *nodes: Node) -> None:
        for node in nodes:
            self.store.apply(NodeSeen(node))
        self.catch_up()

    def lose(self, *keys: NodeKey) -> None:
        for key in keys:
            self.store.apply(NodeGone(key))
        self.catch_up()

    def sort(self, sort: Sort = BY_NAME) -> None:
        self.view.arrange(NOW, sort=sort)

    def node(self, key: NodeKey) -> Node:
        row = self.store.record(key)
        assert row is not None
        return row.node
