"""A short list to choose one thing from: a column to sort by, a fault to make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from widgets.fitting import width_of
from widgets.lines import plain, safe, text_of, wrapped
from widgets.sheet import TextSheet
from widgets.tones import Tone

_BOX = 76
"""Cells of the box that the list stands in, its border included, where the terminal has as many."""

_WIDEST = 30
"""Cells of a label at which its explanation no longer moves to the right for it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the list."""

    value: str
    label: str
    says: str = ""


def _line(choice: Choice, room: int, width: int) -> Content:
    """A choice, its explanation in a column with the others', and going on there."""
    label = choice.label + " " * (room - width_of(choice.label))
    return text_of(wrapped(safe([plain(f" {label}  "), (choice.says, Tone.MUTED)]), width))


class ChooseScreen(ModalScreen[str]):
    """Dismissed with the chosen value; with an empty text where nothing was chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "stay", show=False),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
    ]

    def __init__(self, title: str, choices: Sequence[Choice], chosen: str = "") -> None:
        super().__init__()
        self._named = title
        self._choices = choices
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        told = [choice for choice in self._choices if choice.says]
        room = min(_WIDEST, max((width_of(choice.label) for choice in told), default=0))
        width = min(_BOX, self.app.size.width) - 2
        with Vertical(classes="box"):
            yield TextSheet(classes="title")
            yield OptionList(*(Option(_line(choice, room, width)) for choice in self._choices))

    def on_mount(self) -> None:
        self.query_one(TextSheet).show(
            text_of([[(self._named, Tone.STRONG), ("   enter chooses, esc leaves", Tone.MUTED)]])
        )
        values = [choice.value for choice in self._choices]
        options = self.query_one(OptionList)
        options.highlighted = values.index(self._chosen) if self._chosen in values else 0
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._choices[event.option_index].value)

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        (options.action_cursor_down if by > 0 else options.action_cursor_up)()

    def action_stay(self) -> None:
        self.dismiss("")
