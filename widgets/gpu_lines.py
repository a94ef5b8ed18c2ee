"""A node's GPUs, one line each, as a small table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fleet.policy import Policy
from fleet.telemetry import GpuTelemetry
from widgets.cells import Cell, temp_cell, util_cell
from widgets.fitting import fit, fit_middle, printable
from widgets.glyphs import Glyphs
from widgets.lines import LineOf, Piece
from widgets.tones import Tone
from widgets.wording import UNKNOWN, known, number, percent


class _Column(NamedTuple):
    title: str
    width: int
    right: bool
    cell: Callable[[GpuTelemetry, Policy], Cell]


def _number(value: float | None, digits: int = 0) -> Cell:
    return Cell(number(value, digits), Tone.UNKNOWN if known(value) is None else Tone.PLAIN)


def _name(gpu: GpuTelemetry, policy: Policy) -> Cell:
    part = f".{printable(gpu.instance, 8)}" if gpu.instance else ""
    return Cell(f"{printable(gpu.gpu, 12) or UNKNOWN}{part}")


def _memory(gpu: GpuTelemetry, policy: Policy) -> Cell:
    used, total = known(gpu.fb_used_mib), known(gpu.fb_total_mib)
    if used is None or not total:
        return Cell(UNKNOWN, Tone.UNKNOWN)
    return Cell(percent(100 * used / total))


def _xid(gpu: GpuTelemetry, policy: Policy) -> Cell:
    if gpu.xid is None:
        return Cell(UNKNOWN, Tone.UNKNOWN)
    if gpu.xid == 0:
        return Cell("none", Tone.MUTED)
    return Cell(str(gpu.xid), Tone.BAD if gpu.xid in policy.forbidden_xids else Tone.WARN)


def _remaps(gpu: GpuTelemetry, policy: Policy) -> Cell:
    """Uncorrectable row remaps; a failed remapping is said in words."""
    if gpu.row_remap_failure:
        return Cell("FAILED", Tone.BAD)
    count = known(gpu.remapped_uncorrectable)
    if count is None:
        return Cell(UNKNOWN, Tone.UNKNOWN)
    return Cell(number(count), Tone.WARN if count else Tone.MUTED)


def _ecc(gpu: GpuTelemetry, policy: Policy) -> Cell:
    count = known(gpu.ecc_dbe_volatile)
    if count is None:
        return Cell(UNKNOWN, Tone.UNKNOWN)
    return Cell(number(count), Tone.BAD if count else Tone.MUTED)


def _holder(gpu: GpuTelemetry, policy: Policy) -> Cell:
    return Cell(printable(gpu.held_by, 120), Tone.PLAIN)


_COLUMNS = (
    _Column("GPU", 5, False, _name),
    _Column("util", 10, True, lambda gpu, policy: util_cell(gpu.util)),
    _Column("°C", 4, True, lambda gpu, policy: temp_cell(gpu.temp)),
    _Column("mem", 5, True, _memory),
    _Column("W", 5, True, lambda gpu, policy: _number(gpu.power_watts)),
    _Column("XID", 5, True, _xid),
    _Column("remaps", 7, True, _remaps),
    _Column("ECC", 4, True, _ecc),
)
_POD_LEAST = 12
_BAR = 5


def gpu_lines(gpus: Sequence[GpuTelemetry], policy: Policy, glyphs: Glyphs, width: int) -> list[LineOf]:
    """A title line and one line a GPU, at most `width` cells; the right-hand columns go first."""
    columns = list(_COLUMNS)
    while len(columns) > 3 and _taken(columns) > width:
        columns.pop()
    room = width - _taken(columns) - 2
    pods = room >= _POD_LEAST
    title: list[Piece] = [
        (fit(column.title, column.width, right=column.right) + " ", Tone.MUTED) for column in columns
    ]
    if pods:
        title.append((" pod", Tone.MUTED))
    lines: list[LineOf] = [title]
    for gpu in gpus:
        line: list[Piece] = []
        for column in columns:
            line.extend(_pieces(column, column.cell(gpu, policy), glyphs))
        if pods:
            held = _holder(gpu, policy)
            line.append((" " + fit_middle(held.text, room, ellipsis=glyphs.ellipsis).rstrip(), held.tone))
        lines.append(line)
    return lines


def _taken(columns: Sequence[_Column]) -> int:
    return sum(column.width + 1 for column in columns)


def _pieces(column: _Column, cell: Cell, glyphs: Glyphs) -> list[Piece]:
    if cell.bar is None:
        return [(fit(cell.text, column.width, right=column.right, ellipsis=glyphs.ellipsis) + " ", cell.tone)]
    full = round(cell.bar * _BAR)
    return [
        (glyphs.bar_full * full, Tone.NOTE),
        (glyphs.bar_rest * (_BAR - full), Tone.UNKNOWN),
        (fit(cell.text, column.width - _BAR, right=True) + " ", cell.tone),
    ]
