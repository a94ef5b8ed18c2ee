"""A question in a box: what it is about, and one key an answer. Escape is always the answer that changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen

from widgets.key_footer import KeyFooter, KeyHint
from widgets.lines import LineOf, text_of
from widgets.sheet import TextSheet
from widgets.tones import Tone


@dataclass(frozen=True, slots=True)
class Answer:
    """A key, what it says, and the value the screen is dismissed with."""

    key: str
    label: str
    value: str


class AskScreen(ModalScreen[str]):
    """Dismissed with the chosen answer's value; with an empty text where nothing was chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "stay", show=False)]

    def __init__(
        self, title: str, lines: Sequence[LineOf], answers: Sequence[Answer], stay: str = "Back"
    ) -> None:
        super().__init__()
        self._named = title
        self._lines = lines
        self._answers = answers
        self._stay = stay

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield TextSheet(classes="title")
            with VerticalScroll():
                yield TextSheet(id="text")
            yield KeyFooter()

    def on_mount(self) -> None:
        self.query_one(".title", TextSheet).show(text_of([[(self._named, Tone.STRONG)]]))
        self.query_one("#text", TextSheet).show(text_of(self._lines))
        hints = [KeyHint(answer.key, answer.label, command=answer.value) for answer in self._answers]
        self.query_one(KeyFooter).show([*hints, KeyHint("esc", self._stay)])

    def on_key(self, event: events.Key) -> None:
        for answer in self._answers:
            if answer.key in (event.key, event.character):
                event.stop()
                self.dismiss(answer.value)
                return

    def on_key_footer_pressed(self, message: KeyFooter.Pressed) -> None:
        message.stop()
        self.dismiss(message.hint.command)

    def action_stay(self) -> None:
        self.dismiss("")
