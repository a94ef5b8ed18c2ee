"""The help page: every command with its key and what it does, made from the commands themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from widgets.fitting import fit, width_of
from widgets.lines import LineOf, Piece, plain, text_of, wrapped
from widgets.sheet import Sheet
from widgets.tones import Tone


@dataclass(frozen=True, slots=True)
class HelpLine:
    """One command. Lines of one `group` stand together, in the order given."""

    group: str
    keys: str
    label: str
    does: str


class _HelpSheet(Sheet):
    lines: tuple[HelpLine, ...] = ()

    def draw(self, width: int) -> Content:
        keys = max((width_of(line.keys) for line in self.lines), default=0)
        labels = max((width_of(line.label) for line in self.lines), default=0)
        drawn: list[LineOf] = []
        group = None
        for line in self.lines:
            if line.group != group:
                group = line.group
                drawn.extend([[], [(group, Tone.STRONG)]] if drawn else [[(group, Tone.STRONG)]])
            lead = f"  {fit(line.keys, keys, right=True)}  "
            named: list[Piece] = [(lead, Tone.NOTE), plain(f"{fit(line.label, labels)}  ")]
            hang = width_of(lead) + labels + 2
            first, *more = wrapped([(line.does, Tone.MUTED)], max(20, width - hang))
            drawn.append([*named, _text(first)])
            drawn.extend([plain(" " * hang), _text(rest)] for rest in more)
        return text_of(drawn, width)


def _text(line: LineOf) -> Piece:
    return ("".join(text for text, _ in line).strip(), Tone.MUTED)


class HelpTable(VerticalScroll):
    """Scrollable help."""

    DEFAULT_CSS = "HelpTable { padding: 1 2; scrollbar-size-vertical: 1; }"

    def __init__(self, lines: Sequence[HelpLine] = (), *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._sheet = _HelpSheet()
        self._sheet.lines = tuple(lines)

    def compose(self) -> ComposeResult:
        yield self._sheet

    def show(self, lines: Sequence[HelpLine]) -> None:
        """Show these commands."""
        self._sheet.lines = tuple(lines)
        self._sheet.redraw()
