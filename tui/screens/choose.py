"""A short list to choose one thing from: a column to sort by, a fault to make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from widgets.lines import plain, text_of
from widgets.sheet import TextSheet
from widgets.tones import Tone


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the list."""

    value: str
    label: str
    says: str = ""


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
        with Vertical(classes="box"):
            yield TextSheet(classes="title")
            yield OptionList(
                *(
                    Option(text_of([[plain(f"{choice.label}  "), (choice.says, Tone.MUTED)]]))
                    for choice in self._choices
                )
            )

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
