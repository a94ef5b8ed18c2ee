"""The words round a heat map: what it shows, what its signs mean, and what is under the cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fleet.heat import SCALES, Heat, Measure, Scale
from fleet.heat_map import Block, By, Zoom
from fleet.node import Node
from fleet.telemetry import GpuTelemetry
from widgets.fitting import printable
from widgets.glyphs import Glyphs
from widgets.heat_grid import band_sign
from widgets.lines import LineOf, Piece, joined, plain
from widgets.tones import Tone
from widgets.wording import UNKNOWN, counted

_APART: Piece = ("   ", Tone.PLAIN)
_TONES = {"unknown": Tone.UNKNOWN, "warn": Tone.WARN, "bad": Tone.BAD, "0": Tone.MUTED}


class _Row(Protocol):
    @property
    def node(self) -> Node: ...


@dataclass(frozen=True, slots=True)
class Under:
    """What the cursor is on: a block; a node of it where `row` is; a GPU of that where `number` is, with what is known of it."""

    block: Block
    heat: Heat
    row: _Row | None = None
    number: int | None = None
    gpu: GpuTelemetry | None = None
    why: str = ""  # GPUs can't be read


def title_line(measure: Measure, zoom: Zoom, by: By, nodes: int, placed: int, filtered: str) -> LineOf:
    """What is drawn. `placed` of the `nodes` stand in a known place."""
    cell = by.value if zoom is Zoom.BLOCKS else "node" if zoom is Zoom.NODES else "GPU"
    article = "an" if cell.startswith("NV") else "a"
    grouped = "" if zoom is Zoom.BLOCKS else f"   by {by.value}"
    line: list[Piece] = [
        ("Heat map", Tone.STRONG),
        plain(f"   {measure.value}, a cell {article} {cell}"),
        (f"{grouped}   {counted(nodes, 'node')}", Tone.MUTED),
    ]
    if placed < nodes:
        line.append((f", {nodes - placed:,} of no known {by.value}", Tone.MUTED))
    if filtered:
        line.append((f"   filter: {printable(filtered)}", Tone.NOTE))
    return line


def legend_line(scale: Scale, glyphs: Glyphs) -> LineOf:
    """Each band's sign and what it means."""
    parts: list[list[Piece]] = []
    for band, name in enumerate(scale.names):
        sign, style = band_sign(scale, band, glyphs)
        unit = scale.unit.replace("°", glyphs.degrees.strip())
        parts.append([(sign * 2, _TONES.get(style, Tone.NOTE)), (f" {name}{unit}", Tone.MUTED)])
    parts.append([(glyphs.unknown * 2, Tone.UNKNOWN), (" unknown", Tone.MUTED)])
    return joined(parts, _APART)


def under_line(under: Under | None, measure: Measure) -> LineOf:
    """One line on what the cursor is on."""
    if under is None:
        return [("nothing is drawn: no node matches", Tone.MUTED)]
    value: Piece = (f"   {spelled(under.heat, measure)}", Tone.UNKNOWN if under.heat is None else Tone.STRONG)
    if under.row is None:
        how = "the worst of" if SCALES[measure].worst_of else "the mean of"
        nodes = counted(len(under.block.nodes), "node")
        return [(printable(under.block.name), Tone.STRONG), value, (f"   {how} {nodes}", Tone.MUTED)]
    node = under.row.node
    line: list[Piece] = [(printable(node.key.name), Tone.STRONG)]
    if under.number is not None:
        line.append(plain(f" GPU {printable(under.gpu.gpu) if under.gpu is not None else under.number}"))
    line.append(value)
    if under.gpu is not None and under.gpu.held_by:
        line.append((f"   {printable(under.gpu.held_by)}", Tone.NOTE))
    elif under.why:
        line.append((f"   {printable(under.why)}", Tone.WARN))
    line.append((f"   {node.stage.value}, {printable(under.block.name)}", Tone.MUTED))
    return line


def spelled(heat: Heat, measure: Measure) -> str:
    """A value in its unit."""
    scale = SCALES[measure]
    if heat is None:
        return UNKNOWN
    if measure is Measure.ERRORS:
        return scale.names[scale.band(heat) or 0].replace("none", "no errors")
    return f"{heat:,.0f} {scale.unit}"
