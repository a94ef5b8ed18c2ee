"""Every key and what it does, made from the commands, and how to say which nodes are meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from fleet.selection_fields import FIELDS
from tui import commands, keymap
from tui.command import Kind, Place
from tui.screens.base import DeckScreen, bindings_of
from tui.session import Session
from widgets.help_table import HelpLine, HelpTable
from widgets.lines import text_of
from widgets.sheet import TextSheet
from widgets.tones import Tone

FILTER = "The filter: terms that all must be true"
TERMS = (
    ("word", "in the name, category, image, holder, reason or work, or how its state begins"),
    ("field=value", "is it; commas give several, * and ? are globs, quotes take a text as it is"),
    ("field!=value", "is not it"),
    ("field>80", "more; also < >= <=, for numbers"),
    ("!term", "turns a term round"),
    ("field=unknown", "a number that is not known; field=none a text that is not there"),
)


class HelpScreen(DeckScreen[None]):
    """The help page."""

    PLACE = Place.READING
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.READING)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.deeds = {commands.READ_BACK.id: lambda: self.dismiss(None)}

    def compose(self) -> ComposeResult:
        yield TextSheet(classes="title")
        yield HelpTable(tuple(help_lines(self.session)))
        yield from self.compose_foot()

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(".title", TextSheet).show(text_of([[("Help", Tone.STRONG)]]))
        self.query_one(HelpTable).focus()


def help_lines(session: Session) -> Iterator[HelpLine]:
    """Every command under its heading, then the selection language."""
    for kind in Kind:
        for command in commands.ALL:
            if command.kind is kind:
                keys = keymap.spelled(session.keys[command.id], ascii_only=session.plain, most=3)
                yield HelpLine(kind.value, keys, command.label, command.does)
    for term, does in TERMS:
        yield HelpLine(FILTER, "", term, does)
    for field in FIELDS.values():
        yield HelpLine("Fields of the filter", "", field.name, field.says)
