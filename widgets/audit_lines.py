"""The audit trail as lines: a heading a day, columns where there is room for them, and what goes on hangs below the time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fleet.journal import Kind, Record
from widgets.fitting import fit, fit_middle, printable, width_of
from widgets.lines import LineOf, Piece, plain, safe, wrapped
from widgets.tones import Tone

COLUMNS_FROM = 110
"""Cells from which state, verb and node have columns of their own; below, they stand one after the other."""

_TONES = {
    "failed": Tone.BAD,
    "unknown": Tone.BAD,
    "done": Tone.GOOD,
    "skipped": Tone.MUTED,
    "cancelled": Tone.WARN,
}
_STATE, _VERB, _NODE = 10, 9, 24


def audit_lines(records: Iterable[Record], width: int) -> list[LineOf]:
    """Records in their order, each in as many lines of at most `width` cells as it needs. Intents are told by their outcomes."""
    lines: list[LineOf] = []
    day = ""
    for record in records:
        if record.kind is Kind.INTENT:
            continue
        today = f"{record.at:%Y-%m-%d, %A}"
        if today != day:
            day = today
            lines += [*([[]] if lines else []), [(today, Tone.STRONG)]]
        lines += wrapped(safe(_pieces(record, columns=width >= COLUMNS_FROM)), width)
    return lines


def _pieces(record: Record, *, columns: bool) -> list[Piece]:
    tone = _TONES.get(record.state, Tone.NOTE if record.kind is not Kind.REFUSED else Tone.WARN)
    state = record.state if record.kind in (Kind.OUTCOME, Kind.ENDED) else record.kind.value
    node = printable(record.node, 253)
    says = printable(record.says, 2000) if record.says != state else ""
    time = (f"  {record.at:%H:%M:%S}  ", Tone.MUTED)
    by = (f"  by {record.by}, {record.operation}", Tone.MUTED)
    if columns:
        return [
            time,
            (fit(state, _STATE) + " ", tone),
            plain(fit(record.verb, _VERB) + " "),
            *_node(node),
            plain(says),
            by,
        ]
    return [
        time,
        (f"{state} ", tone),
        plain(f"{record.verb} "),
        (f"{node} " if node else "", Tone.STRONG),
        plain(says),
        by,
    ]


def _node(node: str) -> Iterator[Piece]:
    short = fit_middle(node, _NODE) if width_of(node) > _NODE else fit(node, _NODE)
    yield f"{short} ", Tone.STRONG
