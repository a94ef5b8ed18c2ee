"""The few parts that questions are asked with: a switch on one line, and a labelled line to type in; without borders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input

from widgets.fitting import width_of
from widgets.glyphs import Glyphs
from widgets.lines import plain, text_of
from widgets.sheet import Sheet, TextSheet
from widgets.tones import Tone


class Toggle(Sheet, can_focus=True):
    """A switch: a sign and a name."""

    DEFAULT_CSS = """
    Toggle { height: 1; padding: 0 1; }
    Toggle:focus { background: $primary 25%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "turn", "Switch", show=False)]

    class Changed(Message):
        """The switch was turned."""

        def __init__(self, toggle: Toggle) -> None:
            super().__init__()
            self.toggle = toggle

    def __init__(self, label: str, glyphs: Glyphs, *, on: bool = False, name: str = "") -> None:
        super().__init__(id=None)
        self.on = on
        self.label = label
        self.about = name
        self._glyphs = glyphs

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return width_of(self.label) + 4

    def draw(self, width: int) -> Content:
        sign = self._glyphs.checked if self.on else self._glyphs.unchecked
        tone = Tone.NOTE if self.on else Tone.MUTED
        return text_of([[(f"[{sign}] ", tone), plain(self.label)]], width)

    def action_turn(self) -> None:
        self.on = not self.on
        self.redraw()
        self.post_message(self.Changed(self))

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.focus()
        self.action_turn()


class Line(Input):
    """One line to type in. On an empty one, the right arrow takes the newest suggestion."""

    def __init__(self, *, suggestions: Sequence[str] = (), hint: str = "", **options: str) -> None:
        self._newest = suggestions[0] if suggestions else ""
        super().__init__(
            compact=True,
            placeholder=hint,
            select_on_focus=False,
            suggester=SuggestFromList(suggestions, case_sensitive=False) if suggestions else None,
            **options,  # type: ignore[arg-type]
        )

    def action_cursor_right(self, select: bool = False) -> None:
        if not self.value and self._newest:
            self.value = self._newest
            self.cursor_position = len(self.value)
            return
        super().action_cursor_right(select)


class Field(Horizontal):
    """A label and a line to type in."""

    DEFAULT_CSS = """
    Field { height: 1; padding: 0 1; }
    Field > Line { width: 1fr; background: $foreground 8%; }
    Field > Line:focus { background: $primary 25%; }
    Field.hidden { display: none; }
    """

    def __init__(
        self,
        label: str,
        *,
        hint: str = "",
        suggestions: Sequence[str] = (),
        value: str = "",
        name: str = "",
        wide: int = 17,
    ) -> None:
        super().__init__()
        self.about = name
        self._label = TextSheet()
        self._label.styles.width = wide
        self._label.show(text_of([[(label, Tone.MUTED)]]))
        self.line = Line(suggestions=suggestions, hint=hint, value=value)

    def compose(self) -> ComposeResult:
        yield self._label
        yield self.line

    def relabel(self, label: str) -> None:
        self._label.show(text_of([[(label, Tone.MUTED)]]))

    @property
    def value(self) -> str:
        return self.line.value.strip()
