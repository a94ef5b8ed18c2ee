"""The heat map: every GPU of the fleet one cell, from racks down to GPUs, by what an operator wants to see at a glance.

Blocks and nodes are painted from the store. Only where a cell is a GPU are raw rows read, and only those on screen.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from fleet import heat, heat_map
from fleet.errors import FleetError
from fleet.heat import SCALES, Heat, Measure
from fleet.heat_map import Block, By, Layout, Spot, Zoom
from fleet.node import NodeKey
from fleet.policy import Policy
from fleet.row import FleetRow
from fleet.telemetry import GpuTelemetry
from tui import commands
from tui.command import Place, Standing
from tui.screens.base import DeckScreen, bindings_of
from tui.session import Session
from widgets.heat_grid import HeatGrid, HeatScene
from widgets.heat_lines import Under, legend_line, title_line, under_line
from widgets.lines import text_of
from widgets.sheet import TextSheet
from widgets.tones import Tone

EVERY = 1.0
"""Seconds between two looks at what the store knows anew: a map of ten thousand cells is not painted at every change."""

AT_ONCE = 64
"""Nodes whose GPUs are read in one go."""

FRESH = 10.0
"""Seconds for which a node's GPUs are not read again while they are on screen."""

_ZOOMS = tuple(Zoom)
_MEASURES = tuple(Measure)
_ANY = Policy()


class HeatScreen(DeckScreen[NodeKey | None]):
    """`nodes` are those to be drawn, None for all; `filtered` says in words which those are.

    Dismissed with the node that is to be seen whole, or with None.
    """

    PLACE = Place.HEAT
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.HEAT)

    def __init__(
        self, session: Session, nodes: Collection[NodeKey] | None = None, filtered: str = ""
    ) -> None:
        super().__init__(session)
        self._only = None if nodes is None else frozenset(nodes)
        self._filtered = filtered
        self._painted = session.deck.store.revision
        self._measure = Measure.UTIL
        self._by = By.CATEGORY
        self._choices: tuple[By, ...] = (By.CATEGORY,)
        self._zoom: Zoom | None = None
        self._blocks: tuple[Block, ...] = ()
        self._heats: dict[NodeKey, Heat] = {}
        self._gpus: dict[NodeKey, tuple[float, tuple[GpuTelemetry, ...]]] = {}
        self._gpus_why = ""
        self._begun_with, self._chosen = 0, False  # of how many nodes; whether somebody chose what is seen
        self.deeds = {
            commands.HEAT_MEASURE.id: self.next_measure,
            commands.HEAT_BY.id: self.next_arrangement,
            commands.HEAT_IN.id: lambda: self.zoom(1),
            commands.HEAT_OUT.id: lambda: self.zoom(-1),
            commands.HEAT_BACK.id: lambda: self.dismiss(None),
        }

    def compose(self) -> ComposeResult:
        yield TextSheet(id="title", classes="title")
        yield HeatGrid(self._lay_out, self._scene(), id="grid")
        yield TextSheet(id="under", classes="title")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        super().on_mount()
        self.grid.focus()
        self.call_after_refresh(self._start)
        self.set_interval(EVERY, self.tick)

    @property
    def grid(self) -> HeatGrid:
        return self.query_one(HeatGrid)

    def standing(self) -> Standing:
        spot = self.grid.spot if self.is_mounted else None
        return self.session.standing((spot.node,) if spot is not None and spot.node is not None else ())

    def tick(self) -> None:
        """Take in what the fleet and the exporters told since the last look."""
        changes = self.session.deck.store.changes_since(self._painted)
        self._painted = changes.revision
        if changes.everything or changes.structure_changed:
            # A fleet that is still being listed tells neither its racks nor how much room it takes.
            if not self._chosen and len(self._rows()) > 2 * self._begun_with:
                self._start()
            else:
                self._rearrange()
        elif changes.keys:
            self._reheat(changes.keys)
        self.show()
        self._read_gpus()

    def show(self) -> None:
        """Paint what differs."""
        self.grid.show(self._scene())
        self._tell()

    def next_measure(self) -> None:
        self._measure = _MEASURES[(_MEASURES.index(self._measure) + 1) % len(_MEASURES)]
        self._reheat(list(self._heats))
        self.show()

    def next_arrangement(self) -> None:
        if len(self._choices) == 1:
            self.say("nothing tells where these nodes stand: no rack, switch or clique is known", Tone.NOTE)
            return
        self._by, self._chosen = self._choices[(self._choices.index(self._by) + 1) % len(self._choices)], True
        self._rearrange()
        self.show()

    def zoom(self, by: int) -> None:
        """One level in or out; in from a GPU goes to its node, out from the blocks leaves."""
        spot, zoom = self.grid.spot, self._zoom or Zoom.BLOCKS
        level = _ZOOMS.index(zoom) + by
        if level < 0:
            self.dismiss(None)
        elif level == len(_ZOOMS):
            if spot is not None and spot.node is not None:
                self.dismiss(spot.node)
        else:
            self._zoom, self._chosen = _ZOOMS[level], True
            self.grid.put(self._scene(), self._seen_as(spot))
            self.show()
            self._read_gpus()

    def on_heat_grid_pointed(self, message: HeatGrid.Pointed) -> None:
        self._tell()
        self._read_gpus()

    def _start(self) -> None:
        """Begin where the racks are known, as deep as the screen has room for."""
        rows = self._rows()
        self._choices, self._begun_with = heat_map.choices(rows), len(rows)
        self._by = self._choices[0]
        self._rearrange()
        width, height = self.grid.size
        fitting = [zoom for zoom in _ZOOMS if len(self._lay_out(width, zoom).lines) <= height]
        self._zoom = fitting[-1] if fitting else Zoom.BLOCKS
        self.grid.put(self._scene(), None)
        self.show()
        self._read_gpus()

    def _rows(self) -> list[FleetRow]:
        rows = self.session.deck.store.rows_by_key
        return [row for key, row in rows.items() if self._only is None or key in self._only]

    def _rearrange(self) -> None:
        rows = self._rows()
        self._choices = heat_map.choices(rows)
        if self._by not in self._choices:
            self._by = self._choices[0]
        before = self.grid.spot
        self._blocks = heat_map.arrange(rows, self._by)
        self._heats = {}
        self._reheat([row.key for row in rows])
        self._gpus = {key: kept for key, kept in self._gpus.items() if key in self._heats}
        self.grid.put(self._scene(), self._again(before))

    def _reheat(self, keys: Collection[NodeKey]) -> None:
        store, policy = self.session.deck.store, self.session.deck.policy
        for key in keys:
            row = store.record(key)
            if row is not None and (self._only is None or key in self._only):
                self._heats[key] = heat.of_node(row, self._measure, policy)

    def _again(self, spot: Spot | None) -> Spot | None:
        """The spot of the same node, now that blocks are numbered anew."""
        if spot is None or spot.node is None:
            return None
        found = next((number for number, block in enumerate(self._blocks) if spot.node in block.nodes), None)
        return None if found is None else spot._replace(block=found)

    def _seen_as(self, spot: Spot | None) -> Spot | None:
        """What a spot is at the zoom of now: the first of what is in it, or what it is in."""
        if spot is None or spot.block >= len(self._blocks):
            return None
        if self._zoom is Zoom.BLOCKS:
            return Spot(spot.block)
        node = spot.node or self._blocks[spot.block].nodes[0]
        return Spot(spot.block, node, 0 if self._zoom is Zoom.GPUS else None)

    def _lay_out(self, width: int, zoom: Zoom | None = None) -> Layout:
        return heat_map.lay_out(self._blocks, zoom or self._zoom or Zoom.BLOCKS, width, self._gpus_of)

    def _gpus_of(self, node: NodeKey) -> int:
        row = self.session.deck.store.record(node)
        if row is None:
            return 1
        told = row.telemetry.gpus_seen if row.telemetry is not None else None
        return max(row.node.gpus_capacity or 0, told or 0, 1)

    def _scene(self) -> HeatScene:
        return HeatScene(SCALES[self._measure], self._heat_of, self.session.glyphs)

    def _heat_of(self, spot: Spot) -> Heat:
        if spot.node is None:
            nodes = self._blocks[spot.block].nodes
            return heat.of_many(map(self._heats.get, nodes), SCALES[self._measure])
        if spot.gpu is None:
            return self._heats.get(spot.node)
        gpu = self._gpu(spot)
        return None if gpu is None else heat.of_gpu(gpu, self._measure, self.session.deck.policy)

    def _gpu(self, spot: Spot) -> GpuTelemetry | None:
        rows = self._gpus.get(spot.node, (0.0, ()))[1] if spot.node is not None else ()
        return rows[spot.gpu] if spot.gpu is not None and spot.gpu < len(rows) else None

    def _read_gpus(self) -> None:
        """Read the GPUs on screen that have not been for a while, a batch at a time."""
        if self._zoom is not Zoom.GPUS or any(worker.group == "heat" for worker in self.workers):
            return
        now = self.session.deck.clock.monotonic()
        seen = dict.fromkeys(spot.node for spot in self.grid.spots_on_screen() if spot.node is not None)
        old = [node for node in seen if node not in self._gpus or now - self._gpus[node][0] > FRESH]
        if old:
            old.sort(key=lambda node: self._gpus[node][0] if node in self._gpus else float("-inf"))
            self.run_worker(self._take(old[:AT_ONCE]), group="heat", exclusive=True)

    async def _take(self, nodes: list[NodeKey]) -> None:
        deck = self.session.deck
        try:
            rows = await deck.by_gpu(nodes)
        except FleetError as error:
            self._gpus_why = str(error)
            rows = {}
        else:
            self._gpus_why = ""
        at = deck.clock.monotonic()
        for node in nodes:
            self._gpus[node] = (at, _whole(rows.get(node, ())))
        self.show()
        self.call_after_refresh(self._read_gpus)

    def _tell(self) -> None:
        """Say what the colours are, and what is under the cursor."""
        zoom, glyphs = self._zoom or Zoom.BLOCKS, self.session.glyphs
        width = self.size.width - 2
        placed = sum(len(block.nodes) for block in self._blocks if block.placed)
        title = title_line(self._measure, zoom, self._by, len(self._heats), placed, self._filtered)
        legend = legend_line(SCALES[self._measure], glyphs)
        self.query_one("#title", TextSheet).show(text_of([title, legend], width))
        self.query_one("#under", TextSheet).show(text_of([under_line(self._under(), self._measure)], width))

    def _under(self) -> Under | None:
        spot = self.grid.spot
        if spot is None or spot.block >= len(self._blocks):
            return None
        row = self.session.deck.store.record(spot.node) if spot.node is not None else None
        why = self._gpus_why if spot.gpu is not None else ""
        return Under(self._blocks[spot.block], self._heat_of(spot), row, spot.gpu, self._gpu(spot), why)


def _whole(rows: Collection[GpuTelemetry]) -> tuple[GpuTelemetry, ...]:
    """One row a GPU: its own, or that of its busiest MIG instance where it has none."""
    found: dict[str, GpuTelemetry] = {}
    for row in rows:
        kept = found.get(row.gpu)
        if kept is None or (bool(kept.instance), -_busy(kept)) > (bool(row.instance), -_busy(row)):
            found[row.gpu] = row
    return tuple(found.values())


def _busy(row: GpuTelemetry) -> float:
    return heat.of_gpu(row, Measure.UTIL, _ANY) or 0.0
