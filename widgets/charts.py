"""A node's past as charts, one a metric, in one column or two. Pure; a past that can't be read says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fleet.history import Line, Metric, NodeHistory, Span, known
from widgets.fitting import fit, printable
from widgets.glyphs import Glyphs
from widgets.lines import LineOf, Piece, cut, plain, spread, width_of_line, wrapped
from widgets.plot import LABEL, Scale, plot
from widgets.tones import Tone
from widgets.wording import UNKNOWN, age, percent

TWO_COLUMNS = 100
"""Cells from which two charts stand side by side."""

_GAP = 3
_WHOLE = frozenset({"mean", "hottest", "all"})


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a node's past. `history` None: not read yet, or not to be had, which `why` says."""

    span: Span
    history: NodeHistory | None = None
    why: str = ""


def chart_lines(
    past: Past,
    glyphs: Glyphs,
    now: datetime,
    width: int,
    height: int,
    metrics: Sequence[Metric] = tuple(Metric),
) -> list[LineOf]:
    """The charts, each `height` lines of dots with a title above and the time below; each line at most `width` cells."""
    history = past.history
    if history is None or not history:
        return [[(_why_none(past), Tone.UNKNOWN)]]
    across = 2 if width >= TWO_COLUMNS and len(metrics) > 1 else 1
    each = (width - _GAP * (across - 1)) // across
    drawn = [_chart(history, metric, glyphs, each, height) for metric in metrics]
    lines: list[LineOf] = []
    for first in range(0, len(drawn), across):
        lines.extend(_beside(drawn[first : first + across], each))
    return [*lines, *wrapped(_whose(past, history, now), width)]


def _why_none(past: Past) -> str:
    if past.why:
        return printable(past.why)
    return "no past is known" if past.history is not None else "reading the past…"


def _whose(past: Past, history: NodeHistory, now: datetime) -> LineOf:
    """Whose memory it is, how fine, and from when on."""
    seconds = history.span.step.total_seconds()
    step = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    said = f"from {printable(history.source, 60)}"
    if history.since is not None and now - history.since < past.span.length:
        said += f" since {history.since:%H:%M} UTC ({age(history.since, now)} ago)"
    said += f", a point every {step}"
    lines: list[Piece] = [(said, Tone.MUTED)]
    if past.why:
        lines.append((f"; now: {printable(past.why)}", Tone.WARN))
    return lines


def _chart(history: NodeHistory, metric: Metric, glyphs: Glyphs, width: int, height: int) -> list[LineOf]:
    lines, slowdown = history.of(metric), known(history.slowdown)
    scale = _scale(metric, lines, slowdown)
    title: list[Piece] = [(metric.value, Tone.STRONG), plain("  "), *_summed(metric, lines)]
    if metric is Metric.TEMP and slowdown is not None:
        title.append((f", slows at {slowdown:.0f}", Tone.MUTED))
    dots = plot(
        [line.values for line in lines],
        scale,
        width,
        height,
        glyphs,
        (_said(metric, scale.high), _said(metric, scale.low)),
    )
    axis = spread([(" " * (LABEL + 1) + f"-{history.span.name}", Tone.MUTED)], [("now", Tone.MUTED)], width)
    cut_title = [(text.replace("…", glyphs.ellipsis), tone) for text, tone in cut(title, width)]
    return [cut_title, *dots, axis]


def _summed(metric: Metric, lines: Sequence[Line]) -> list[Piece]:
    """What the newest values come to: of all GPUs together, and which is at either end."""
    newest = [(line.last, line.name) for line in lines if line.last is not None]
    if not newest:
        return [(UNKNOWN, Tone.UNKNOWN)]
    if len(newest) == 1:
        value, name = newest[0]
        return [plain(_said(metric, value)), (f" {name}" if name in _WHOLE else f" GPU {name}", Tone.MUTED)]
    (low, lowest), (high, highest) = min(newest), max(newest)
    together = sum(value for value, _ in newest)
    if metric is Metric.POWER:
        said = [plain(_said(metric, together)), (" in all", Tone.MUTED)]
    elif metric is Metric.TEMP:
        said = []
    else:
        said = [plain(_said(metric, together / len(newest))), (" mean", Tone.MUTED)]
    ends: list[Piece] = [
        plain((", " if said else "") + _said(metric, low)),
        (f" GPU {lowest} to ", Tone.MUTED),
        plain(_said(metric, high)),
        (f" GPU {highest}", Tone.MUTED),
    ]
    return [*said, *ends]


def _scale(metric: Metric, lines: Sequence[Line], slowdown: float | None) -> Scale:
    values = [value for line in lines for value in line.values if value is not None]
    if metric is Metric.TEMP:
        high = max([*values, slowdown or 0.0, 90.0])
        return Scale(max(0.0, (min(values, default=20.0) - 5.0) // 10 * 10), high + 2.0, slowdown)
    if metric is Metric.POWER:
        return Scale(0.0, _round_up(max(values, default=1.0)))
    return Scale(0.0, 100.0)


def _round_up(watts: float) -> float:
    """A round number of watts from `watts` on."""
    size = 100.0 if watts <= 1_000 else 1_000.0
    return max(size, -(-watts // size) * size)


def _said(metric: Metric, value: float) -> str:
    if metric is Metric.TEMP:
        return f"{value:.0f} °C"
    if metric is Metric.POWER:
        return f"{value / 1000:.1f}kW" if value >= 1_000 else f"{value:.0f} W"
    return percent(value)


def _beside(charts: Sequence[Sequence[LineOf]], width: int) -> list[LineOf]:
    """Charts of one height side by side."""
    lines: list[LineOf] = []
    for row in zip(*charts, strict=True):
        line: list[Piece] = []
        for place, piece in enumerate(row):
            line.extend(piece)
            if place < len(row) - 1:
                line.append(plain(fit("", width + _GAP - width_of_line(piece))))
        lines.append(line)
    return lines
