"""Where every GPU of the fleet is drawn on a heat map: blocks by rack, switch or NVLink clique, tiles in them, cells in those.

Pure arithmetic over values: ten thousand nodes are arranged once when one comes or goes, and a node's change touches one
node. Nothing here knows a terminal but for how many cells wide it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from fleet.naming import natural
from fleet.node import NodeKey, Topology
from fleet.row import FleetRow
from fleet.text import clean

RUN = 32
"""Nodes of no known place, and those of a larger block, are drawn in runs of so many."""

_GAP = 2
_LEFT = 1
_LONGEST_LABEL = 20
_LONGEST_NAME = 120


class By(Enum):
    """What nodes are put together by."""

    RACK = "rack"
    SWITCH = "switch"
    CLIQUE = "NVLink clique"
    ZONE = "zone"
    CATEGORY = "category"


class Zoom(Enum):
    """What one cell is."""

    BLOCKS = "blocks"
    NODES = "nodes"
    GPUS = "GPUs"


class Spot(NamedTuple):
    """What a cell stands for: a block; a node of it; or a GPU of that, by its place in the node."""

    block: int
    node: NodeKey | None = None
    gpu: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Nodes that stand together, in the order of their names. `placed` is False where no place is known of them."""

    name: str
    nodes: tuple[NodeKey, ...]
    placed: bool = True


@dataclass(frozen=True, slots=True)
class Tile:
    """A label and the spots that follow it on one line, from column `x`; `wide` columns each. Without spots it is a heading.

    The spots are of a block; or of its `nodes`, one each; or of one node, as many as it has `gpus`. They are made when they are
    asked for: a fleet has tens of thousands, a screen a few hundred.
    """

    x: int
    label: str
    block: int
    nodes: tuple[NodeKey, ...] = ()
    gpus: int = 0
    wide: int = 1
    heading: bool = False

    @property
    def spots(self) -> tuple[Spot, ...]:
        if self.heading:
            return ()
        if self.gpus:
            return tuple(Spot(self.block, self.nodes[0], gpu) for gpu in range(self.gpus))
        return tuple(Spot(self.block, node) for node in self.nodes) or (Spot(self.block),)

    def __len__(self) -> int:
        return 0 if self.heading else self.gpus or len(self.nodes) or 1

    def turn_of(self, spot: Spot) -> int | None:
        """Which of the spots this is, None where it is not among them."""
        if self.heading or spot.block != self.block:
            return None
        return self.spots.index(spot) if spot in self.spots else None


@dataclass(frozen=True, slots=True)
class Layout:
    """Lines of tiles. `label` is how wide a label is drawn; `x_of` a spot is its tile's, the label, a space, and its turn."""

    lines: tuple[tuple[Tile, ...], ...]
    label: int

    def column(self, tile: Tile, turn: int) -> int:
        """The column at which the spot of this turn begins."""
        return tile.x + self.label + 1 + turn * tile.wide

    @property
    def first(self) -> tuple[int, int, int]:
        """Line, tile and turn of the first spot; of nothing, where there is none."""
        return next(((y, 0, 0) for y, line in enumerate(self.lines) if len(line[0])), (0, 0, 0))

    @property
    def last(self) -> tuple[int, int, int]:
        """Line, tile and turn of the last spot."""
        if not self.lines or not len(self.lines[-1][-1]):
            return self.first
        return len(self.lines) - 1, len(self.lines[-1]) - 1, len(self.lines[-1][-1]) - 1

    def place(self, spot: Spot) -> tuple[int, int, int] | None:
        """Line, tile and turn of a spot, or None where it is not drawn."""
        for y, line in enumerate(self.lines):
            for number, tile in enumerate(line):
                if tile.block == spot.block and (turn := tile.turn_of(spot)) is not None:
                    return y, number, turn
        return None

    def nearest(self, y: int, column: int) -> Spot | None:
        """The spot of line `y` that is nearest to a column."""
        if not 0 <= y < len(self.lines):
            return None
        found = [
            (abs(self.column(tile, turn) - column), spot)
            for tile in self.lines[y]
            for turn, spot in enumerate(tile.spots)
        ]
        return min(found, key=lambda each: each[0])[1] if found else None


def choices(rows: Iterable[FleetRow]) -> tuple[By, ...]:
    """What this fleet can be arranged by: the places that some node of it names, and the category."""
    places = {row.node.topology for row in rows}
    seen = {by for place in places for by in By if by is not By.CATEGORY and _place(place, by)}
    return (*(by for by in By if by in seen), By.CATEGORY)


def arrange(rows: Iterable[FleetRow], by: By) -> tuple[Block, ...]:
    """Every node in one block, blocks by name; those of no known place last, by category."""
    placed: dict[tuple[str, str], list[FleetRow]] = {}
    unplaced: dict[str, list[FleetRow]] = {}
    for row in rows:
        name = row.node.category if by is By.CATEGORY else _place(row.node.topology, by)
        if name:
            zone = "" if by in (By.ZONE, By.CATEGORY) else row.node.topology.zone
            placed.setdefault((zone, name), []).append(row)
        else:
            unplaced.setdefault(row.node.category, []).append(row)
    zones = Counter(name for _, name in placed)
    blocks: list[Block] = []
    for zone, name in sorted(placed, key=lambda each: (natural(each[0]), natural(each[1]))):
        shown = clean(f"{zone}/{name}" if zone and zones[name] > 1 else name, _LONGEST_NAME)
        blocks.extend(_runs(shown, placed[zone, name], placed=True))
    for category in sorted(unplaced, key=natural):
        blocks.extend(
            _runs(clean(category, _LONGEST_NAME) or "no category", unplaced[category], placed=False)
        )
    return tuple(blocks)


def lay_out(
    blocks: Sequence[Block],
    zoom: Zoom,
    width: int,
    gpus_of: Callable[[NodeKey], int],
) -> Layout:
    """The blocks on lines of `width` columns. `gpus_of` says how many cells a node gets where a cell is a GPU."""
    groups = list(_groups(blocks, zoom, gpus_of))
    tiles = [tile for _, each in groups for tile in each]
    label = max((len(clean(tile.label, _LONGEST_LABEL)) for tile in tiles), default=0)
    most = max((len(tile) * tile.wide for tile in tiles), default=0)
    size = label + 1 + most + _GAP
    across = max(1, (width - 2 * _LEFT + _GAP) // size)
    lines: list[tuple[Tile, ...]] = []
    for heading, each in groups:
        if heading is not None:
            lines.append((heading,))
        for first in range(0, len(each), across):
            row = each[first : first + across]
            lines.append(tuple(replace(tile, x=_LEFT + turn * size) for turn, tile in enumerate(row)))
    return Layout(tuple(lines), label)


def _groups(
    blocks: Sequence[Block], zoom: Zoom, gpus_of: Callable[[NodeKey], int]
) -> Iterable[tuple[Tile | None, Sequence[Tile]]]:
    """Tiles under their heading: where a cell is a GPU, each block has one."""
    if zoom is Zoom.BLOCKS:
        yield None, [Tile(0, block.name, number, wide=2) for number, block in enumerate(blocks)]
    elif zoom is Zoom.NODES:
        yield None, [Tile(0, block.name, number, block.nodes) for number, block in enumerate(blocks)]
    else:
        for number, block in enumerate(blocks):
            heading = Tile(0, block.name, number, heading=True)
            yield (
                heading,
                [Tile(0, node.name, number, (node,), max(1, gpus_of(node))) for node in block.nodes],
            )


def _place(where: Topology, by: By) -> str:
    if by is By.RACK:
        return where.rack
    if by is By.SWITCH:
        return where.switch
    return where.clique if by is By.CLIQUE else where.zone


def _runs(name: str, rows: list[FleetRow], *, placed: bool) -> Iterable[Block]:
    rows.sort(key=lambda row: row.order)
    keys = [row.key for row in rows]
    if len(keys) <= RUN:
        yield Block(name, tuple(keys), placed)
        return
    for first in range(0, len(keys), RUN):
        run = tuple(keys[first : first + RUN])
        yield Block(f"{name} {first + 1}-{first + len(run)}", run, placed)
