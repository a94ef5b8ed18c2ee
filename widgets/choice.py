"""A thing that is chosen or not, drawn so that it reads without colour: `[x]` or `[ ]`."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message

from widgets.lines import plain, text_of
from widgets.sheet import Sheet
from widgets.tones import Tone


class Choice(Sheet, can_focus=True):
    """One line with a box. Space or a click turns it."""

    DEFAULT_CSS = """
    Choice {
        height: 1;
        &:focus { background: $primary 40%; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "turn", "Turn", show=False, id="choice.turn"),
    ]

    class Turned(Message):
        """It is chosen now, or not any more."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

    def __init__(self, label: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._label = label
        self.chosen = False

    def show(self, chosen: bool) -> None:
        """Show it as chosen or not, without a message."""
        self.chosen = chosen
        self.redraw()

    def draw(self, width: int) -> Content:
        box = ("[x] ", Tone.STRONG) if self.chosen else ("[ ] ", Tone.MUTED)
        return text_of([[box, plain(self._label)]], width)

    def action_turn(self) -> None:
        self.show(not self.chosen)
        self.post_message(self.Turned(self))

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.action_turn()
