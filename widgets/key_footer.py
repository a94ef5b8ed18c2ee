"""The line at the bottom: the keys that work here, and those that don't, dimmed, with the reason a press away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message

from widgets.fitting import width_of
from widgets.lines import Piece, plain, text_of
from widgets.sheet import Sheet
from widgets.tones import Tone


@dataclass(frozen=True, slots=True)
class KeyHint:
    """A key as shown, what it does in a word, and why it can't now (empty: it can). `command` names it in messages.

    One that is `kept` has its place before the others: how to leave a screen, and where all keys stand.
    """

    key: str
    label: str
    why_not: str = ""
    command: str = ""
    kept: bool = False


class KeyFooter(Sheet):
    """Keys on one line; as many as the width has room for."""

    DEFAULT_CSS = """
    KeyFooter { height: 1; background: $panel; padding: 0 1; }
    """

    class Pressed(Message):
        """Somebody clicked a key, enabled or not."""

        def __init__(self, hint: KeyHint) -> None:
            super().__init__()
            self.hint = hint

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._hints: tuple[KeyHint, ...] = ()

    def show(self, hints: Sequence[KeyHint]) -> None:
        """Show these keys, the most useful first."""
        self._hints = tuple(hints)
        self.redraw()

    def draw(self, width: int) -> Content:
        line: list[Piece] = []
        for hint, _, _ in self._places(width):
            enabled = not hint.why_not
            line.append((hint.key, Tone.STRONG if enabled else Tone.UNKNOWN))
            line.append((f" {hint.label}", Tone.MUTED if enabled else Tone.UNKNOWN))
            line.append(plain("  "))
        return text_of([line[:-1]], width)

    def on_click(self, event: events.Click) -> None:
        for hint, start, end in self._places(self.content_size.width):
            if start <= event.x - self.gutter.left < end:
                self.post_message(self.Pressed(hint))

    def _places(self, width: int) -> list[tuple[KeyHint, int, int]]:
        places: list[tuple[KeyHint, int, int]] = []
        start = 0
        kept = sum(_wide(hint) + 2 for hint in self._hints if hint.kept)
        full = False
        for hint in self._hints:
            kept -= (_wide(hint) + 2) * hint.kept
            end = start + _wide(hint)
            full = full or (not hint.kept and end + kept > width)
            if end > width or (full and not hint.kept):
                continue
            places.append((hint, start, end))
            start = end + 2
        return places


def _wide(hint: KeyHint) -> int:
    return width_of(hint.key) + 1 + width_of(hint.label)
