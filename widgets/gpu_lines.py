"""A node's GPUs as a table: one line each, MIG instances under theirs, the columns that the width has room for. Pure.

A column that the exporter does not give is left out and named below. One in which something is wrong is kept before others.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from fleet.gpu_rows import devices
from fleet.telemetry import GpuTelemetry
from widgets.cells import NOTHING, Cell
from widgets.fitting import fit, fit_middle, width_of
from widgets.glyphs import Glyphs
from widgets.gpu_cells import COLUMNS, SAYS, TREND, GpuColumn, GpuScene, holder_cell
from widgets.lines import LineOf, Piece
from widgets.tones import Tone

_KEPT_FIRST = (
    *("GPU", "util", "°C", "mem", "XID", "W", "remaps", "ECC", "clocks", "left", "trend", "links", "SM"),
    *("PCIe", "needs", "MHz", "errs", "GB/s", "ever", "rpl", "HBM"),
)
"""Which columns stay as the width shrinks, the last to go first."""

_CORE = 4
_POD_LEAST = 14
_POD_WIDE = 28
_WIDE = 100
_BAR = 5
_NAMED_GPU = 14
_SHARED = ("temp", "temp_margin", "temp_slowdown", "memory_temp", "power_watts", "sm_clock", "memory_clock")
_SHARED_COUNTS = (
    *("clock_event_reasons", "xid", "xid_at", "ecc_sbe_volatile", "ecc_dbe_volatile", "ecc_sbe_aggregate"),
    *("ecc_dbe_aggregate", "remapped_correctable", "remapped_uncorrectable", "row_remap_failure"),
    *("remap_pending", "retired_pending", "nvlink_bandwidth", "nvlink_errors", "nvlinks_up", "nvlinks_down"),
    *("pcie_gen", "pcie_width", "pcie_gen_max", "pcie_width_max", "pcie_replays", "recovery_action"),
)


def gpu_lines(gpus: Sequence[GpuTelemetry], scene: GpuScene, width: int) -> list[LineOf]:
    """A title line, one line a GPU or instance, and what is not exported; each line at most `width` cells."""
    rows = _with_parents(gpus)
    told = [column for column in COLUMNS if any(column.told(gpu) is not None for gpu in rows)]
    cells = {column.title: [_cell(column, gpu, scene) for gpu in rows] for column in told}
    held = any(gpu.held_by for gpu in rows)
    sliced = any(gpu.instance for gpu in rows)
    placed = _place(told, cells, width - _reserved(rows, scene, width), sliced=sliced)
    room = width - _taken(placed) - 1
    pods = held and room >= _POD_LEAST
    title: list[Piece] = [
        (fit(column.title, column.width, right=column.right) + " ", Tone.MUTED) for column in placed
    ]
    if pods:
        title.append((" held by", Tone.MUTED))
    lines: list[LineOf] = [title]
    for number, gpu in enumerate(rows):
        line: list[Piece] = []
        for column in placed:
            line.extend(_pieces(column, cells[column.title][number], scene.glyphs))
        if pods:
            cell = holder_cell(gpu, scene)
            text = fit_middle(cell.text, room, ellipsis=scene.glyphs.ellipsis).rstrip()
            line.append((" " + text, cell.tone))
        lines.append(line)
    return [*lines, *_missing(told, width, scene.glyphs)]


def _reserved(rows: Sequence[GpuTelemetry], scene: GpuScene, width: int) -> int:
    """The cells that are kept for who holds the GPUs: more of a name on a wide screen."""
    longest = max(width_of(holder_cell(gpu, scene).text) for gpu in rows) if rows else 0
    if not longest:
        return 0
    most = _POD_LEAST if width < _WIDE else _POD_WIDE
    return max(_POD_LEAST, min(most, longest)) + 1


def _with_parents(gpus: Iterable[GpuTelemetry]) -> list[GpuTelemetry]:
    """Every GPU before its instances; one that only its instances tell of has what they say of the whole."""
    rows: list[GpuTelemetry] = []
    for instances in devices(gpus):
        whole = [gpu for gpu in instances if not gpu.instance]
        parts = [gpu for gpu in instances if gpu.instance]
        if parts and not whole:
            first = parts[0]
            shared: dict[str, Any] = {name: _first(parts, name) for name in (*_SHARED, *_SHARED_COUNTS)}
            whole = [GpuTelemetry(first.gpu, first.uuid, model=first.model, at=first.at)]
            whole = [replace(whole[0], **shared)]
        rows += [*whole, *parts]
    return rows


def _first(parts: Iterable[GpuTelemetry], name: str) -> object:
    return next((value for part in parts if (value := getattr(part, name)) is not None), None)


def _cell(column: GpuColumn, gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    return NOTHING if gpu.instance and column.of_device else column.cell(gpu, scene)


def _place(
    told: Sequence[GpuColumn], cells: dict[str, list[Cell]], width: int, *, sliced: bool
) -> list[GpuColumn]:
    """The columns that fit, in their order: the core, then those that show trouble, then by what they tell."""
    wide = {column.title: _narrowed(column, cells[column.title]) for column in told}
    if sliced:
        wide["GPU"] = wide["GPU"]._replace(width=_NAMED_GPU)
    wrong = {title for title, found in cells.items() if any(cell.tone is Tone.BAD for cell in found)}
    core, rest = _KEPT_FIRST[:_CORE], _KEPT_FIRST[_CORE:]
    order = [title for title in (*core, *sorted(rest, key=lambda title: title not in wrong)) if title in wide]
    kept: list[str] = []
    left = width
    for title in order:
        column = wide[title]
        if title == "util" and width < 60:
            column = wide[title] = column._replace(width=column.width - _BAR)
        if column.width + 1 <= left:
            kept.append(title)
            left -= column.width + 1
    return [wide[column.title] for column in COLUMNS if column.title in kept]


def _narrowed(column: GpuColumn, cells: Sequence[Cell]) -> GpuColumn:
    """A column of words takes what its words take; one of figures keeps its width, so that it does not jump about."""
    if column.right or column.width == TREND:
        return column
    least = max(width_of(column.title), *(width_of(cell.text) for cell in cells), 0)
    return column._replace(width=min(column.width, least))


def _missing(told: Sequence[GpuColumn], width: int, glyphs: Glyphs) -> list[LineOf]:
    """What the exporter does not give, in two lines at most."""
    names = [SAYS[column.title] for column in COLUMNS if column not in told and column.title in SAYS]
    if not names:
        return []
    text = f"not exported: {', '.join(names)}"
    more = f"{glyphs.ellipsis} and others"
    lines = textwrap.wrap(text, max(width, 20), subsequent_indent=" ", max_lines=2, placeholder=more)
    return [[(fit(line, min(width, len(line)), ellipsis=glyphs.ellipsis), Tone.UNKNOWN)] for line in lines]


def _taken(columns: Sequence[GpuColumn]) -> int:
    return sum(column.width + 1 for column in columns)


def _pieces(column: GpuColumn, cell: Cell, glyphs: Glyphs) -> list[Piece]:
    if cell.bar is None or column.width <= _BAR:
        return [(fit(cell.text, column.width, right=column.right, ellipsis=glyphs.ellipsis) + " ", cell.tone)]
    full = round(cell.bar * _BAR)
    return [
        (glyphs.bar_full * full, Tone.NOTE),
        (glyphs.bar_rest * (_BAR - full), Tone.UNKNOWN),
        (fit(cell.text, column.width - _BAR, right=True) + " ", cell.tone),
    ]
