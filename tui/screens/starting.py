"""The first frame: painted before anything is known, so that the terminal never stays blank."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.screen import Screen

from widgets.lines import text_of
from widgets.sheet import TextSheet
from widgets.tones import Tone


class StartingScreen(Screen[None]):
    """Says what is being opened."""

    def __init__(self, title: str) -> None:
        self._named = title
        super().__init__()

    def compose(self) -> ComposeResult:
        yield TextSheet(id="header")

    def on_mount(self) -> None:
        named = [("Quarterdeck  ", Tone.MUTED), (self._named, Tone.STRONG)]
        self.query_one(TextSheet).show(text_of([named, [("opening…", Tone.MUTED)]]))
