"""A program: a table of made-up nodes, ours or Textual's own, under updates that come at a steady rate.

`o` sorts by another column, `f` filters or lifts the filter, `z` folds all groups or none: so that each can be timed from the key
to the paint. The first column says which row the cursor is on by where it is painted; nothing else is needed to see a key's effect.
"""

from __future__ import annotations

import argparse
import gc
import os
from datetime import timedelta
from random import Random
from typing import ClassVar

gc.disable()
os.environ.setdefault("TEXTUAL_FPS", "240")

from textual.app import App, ComposeResult  # noqa: E402 - set before it is imported, as the program does
from textual.binding import BindingType  # noqa: E402
from textual.coordinate import Coordinate  # noqa: E402
from textual.widgets import DataTable  # noqa: E402

from benchmarks.made_up import EPOCH, fleet, updated  # noqa: E402
from fleet.selection import EVERYTHING, parse  # noqa: E402
from fleet.sorting import WORST_FIRST, Column, Sort  # noqa: E402
from fleet.view import FleetView  # noqa: E402
from widgets.cells import Scene, cells  # noqa: E402
from widgets.columns import DEFAULT_COLUMNS  # noqa: E402
from widgets.fleet_lines import FleetLines  # noqa: E402
from widgets.fleet_table import FleetTable  # noqa: E402

_EVERY = 0.1
_ORDERS = (WORST_FIRST, Sort.by(Column.GPU_TEMP))
_FILTER = parse("category=h100 gpu_temp>60")


class OurTable(App[None]):
    """The fleet table over a real store and view."""

    BINDINGS: ClassVar[list[BindingType]] = [("o", "order"), ("f", "filter"), ("z", "fold")]

    def __init__(self, nodes: int, rate: int) -> None:
        super().__init__()
        self.store = fleet(nodes)
        self.view = FleetView(self.store, EPOCH, sort=WORST_FIRST)
        self._rate, self._ticks, self._painted = rate, 0, self.store.revision
        self._chance = Random(2)
        self._keys = self.view.nodes()

    def compose(self) -> ComposeResult:
        yield FleetTable(FleetLines(self.store, self.view), Scene(EPOCH))

    def on_mount(self) -> None:
        gc.freeze()
        gc.enable()
        self.query_one(FleetTable).focus()
        if self._rate:
            self.set_interval(_EVERY, self.tick)

    def tick(self) -> None:
        """A tenth of a second's updates, and what the screen does about them; the order is mended once a second."""
        self._ticks += 1
        now = EPOCH + timedelta(seconds=self._ticks * _EVERY)
        for key in self._chance.sample(self._keys, round(self._rate * _EVERY)):
            self.store.apply(updated(key, now, self._chance))
        changes = self.store.changes_since(self._painted)
        self._painted = changes.revision
        shown = self.view.refresh(changes, now, resort=self._ticks % 10 == 0)
        self.query_one(FleetTable).show(Scene(now), None if shown.moved else shown.dirty)

    def action_order(self) -> None:
        other = _ORDERS[self.view.sort == _ORDERS[0]]
        self.view.arrange(EPOCH, sort=other)
        self.query_one(FleetTable).show(Scene(EPOCH), sorted_by=other)

    def action_filter(self) -> None:
        self.view.arrange(EPOCH, selection=EVERYTHING if self.view.selection else _FILTER)
        self.query_one(FleetTable).show(Scene(EPOCH))

    def action_fold(self) -> None:
        if self.view.folded:
            self.view.unfold(self.view.folded)
        else:
            self.view.fold_all(1)
        self.query_one(FleetTable).show(Scene(EPOCH))


class TheirTable(App[None]):
    """A DataTable of the same cells, updated by its own means: a cell at a time."""

    def __init__(self, nodes: int, rate: int) -> None:
        super().__init__()
        self.store = fleet(nodes)
        self._rate, self._chance = rate, Random(2)
        self._keys = [row.key for row in self.store.rows()]
        self._place = {key: place for place, key in enumerate(self._keys)}

    def compose(self) -> ComposeResult:
        table: DataTable[str] = DataTable(cursor_type="row")
        table.add_columns(*[column.value for column in DEFAULT_COLUMNS])
        scene = Scene(EPOCH)
        table.add_rows(
            [[cell.text for cell in cells(row, scene, DEFAULT_COLUMNS)] for row in self.store.rows()]
        )
        yield table

    def on_mount(self) -> None:
        gc.freeze()
        gc.enable()
        self.query_one(DataTable).focus()
        if self._rate:
            self.set_interval(_EVERY, self.tick)

    def tick(self) -> None:
        """A tenth of a second's updates."""
        table, scene = self.query_one(DataTable), Scene(EPOCH)
        for key in self._chance.sample(self._keys, round(self._rate * _EVERY)):
            self.store.apply(updated(key, EPOCH, self._chance))
            row = self.store.record(key)
            if row is not None:
                for place, cell in enumerate(cells(row, scene, DEFAULT_COLUMNS)):
                    at = Coordinate(self._place[key], place)
                    if table.get_cell_at(at) != cell.text:
                        table.update_cell_at(at, cell.text)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("table", choices=("ours", "theirs"))
    asked.add_argument("--nodes", type=int, required=True)
    asked.add_argument("--rate", type=int, default=0, help="updates a second")
    wanted = asked.parse_args()
    (OurTable if wanted.table == "ours" else TheirTable)(wanted.nodes, wanted.rate).run()
