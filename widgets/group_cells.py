"""Turns a group's totals into what its row shows, under the same columns as its nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fleet.extremes import about
from fleet.groups import GroupKey
from fleet.severity import Severity
from fleet.tally import Totals
from widgets.cells import NOTHING, UNKNOWN_CELL, Cell, Scene, margin_cell, temp_cell, util_cell
from widgets.columns import DEFAULT_COLUMNS, SHAPES, Column
from widgets.fitting import printable
from widgets.tones import Tone
from widgets.wording import UNKNOWN, image_name, of_all

UNGROUPED = "no category"


def group_cells(
    key: GroupKey, totals: Totals, scene: Scene, columns: Sequence[Column] = DEFAULT_COLUMNS
) -> tuple[Cell, ...]:
    """One cell a column; empty where a sum says nothing."""
    painted = []
    for column in columns:
        if column is Column.NAME:
            painted.append(_name(key, totals))
        else:
            painter = _PAINTERS.get(column)
            painted.append(painter(totals, scene) if painter else NOTHING)
    return tuple(painted)


def group_name(key: GroupKey) -> str:
    """A group's name as people say it."""
    if key.depth == 0:
        return printable(key.category, 80) or UNGROUPED
    return f"image {UNKNOWN}" if key.image is None else image_name(key.image)


def _name(key: GroupKey, totals: Totals) -> Cell:
    return Cell(f"{group_name(key)}  {totals.nodes:,}", Tone.PLAIN)


def _stage(totals: Totals, scene: Scene) -> Cell:
    text = f"{totals.in_service} in service"
    if len(text) > SHAPES[Column.STAGE].width:
        every = totals.in_service == totals.nodes
        text = "all in service" if every else f"{totals.in_service * 100 // totals.nodes}% in service"
    return Cell(text, Tone.MUTED if totals.in_service == totals.nodes else Tone.PLAIN)


def _admission(totals: Totals, scene: Scene) -> Cell:
    return Cell(f"{totals.closed} closed", Tone.WARN) if totals.closed else Cell("open", Tone.MUTED)


def _gpus(totals: Totals, scene: Scene) -> Cell:
    if totals.gpus_unknown == totals.nodes:
        return UNKNOWN_CELL
    text = of_all(totals.gpus_used, totals.gpus_allocatable)
    if len(text) > SHAPES[Column.GPUS].width and totals.gpus_allocatable:
        text = f"{totals.gpus_used * 100 // totals.gpus_allocatable}% used"
    return Cell(text)


def _util(totals: Totals, scene: Scene) -> Cell:
    """The mean, and from the least to the most used GPU where there is room for it."""
    mean = util_cell(totals.util)
    low, high = totals.util_low, totals.util_high
    if mean.bar is None or low is None or high is None or low == high:
        return mean
    return Cell(mean.text, mean.tone, mean.bar, wide=f"{mean.text} {low}-{high}")


def _temp(totals: Totals, scene: Scene) -> Cell:
    return temp_cell(totals.hottest)


def _margin(totals: Totals, scene: Scene) -> Cell:
    return margin_cell(totals.margin)


def _image(totals: Totals, scene: Scene) -> Cell:
    if totals.drifted:
        return Cell(f"{totals.drifted} drift", Tone.WARN)
    return NOTHING


_WORDS = (
    (Severity.FAULT, "faulty", Tone.BAD),
    (Severity.STUCK, "stuck", Tone.BAD),
    (Severity.SUSPECT, "suspect", Tone.WARN),
    (Severity.CLOSED, "closed", Tone.WARN),
)


def _status(totals: Totals, scene: Scene) -> Cell:
    """How many nodes stand where, worst first, and what the gravest is about; each node counts once."""
    said = [
        (totals.severities[severity], word + _about(totals, severity), tone)
        for severity, word, tone in _WORDS
    ]
    said.append((totals.drifted, "drift", Tone.NOTE))
    said.append((totals.telemetry_unknown, "without telemetry", Tone.UNKNOWN))
    said = [part for part in said if part[0]]
    if not said:
        return Cell("all well", Tone.MUTED, sign=scene.glyphs.good, sign_tone=Tone.GOOD)
    text = f" {scene.glyphs.bullet} ".join(f"{count:,} {word}" for count, word, _ in said)
    return Cell(text, said[0][2])


_ABOUT = {"stage": "quarantined", "ready": "not ready", "gpus": "GPUs", "row-remap": "row remap"}


def _about(totals: Totals, severity: Severity) -> str:
    """` (xid)` after the gravest severity; a closed node says by itself what it is about."""
    said = about(totals.trouble, severity)
    return f" ({_ABOUT.get(said, said)})" if said and severity is not Severity.CLOSED else ""


_PAINTERS: dict[Column, Callable[[Totals, Scene], Cell]] = {
    Column.STAGE: _stage,
    Column.ADMISSION: _admission,
    Column.GPUS: _gpus,
    Column.UTIL: _util,
    Column.TEMP: _temp,
    Column.MARGIN: _margin,
    Column.IMAGE: _image,
    Column.STATUS: _status,
}
