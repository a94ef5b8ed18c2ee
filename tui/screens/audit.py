"""Who did what, when, and what came of it: the journal's records, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content

from fleet.journal import Record
from tui import commands, readings
from tui.command import Place
from tui.screens.base import DeckScreen, bindings_of
from tui.session import Session
from widgets.audit_lines import audit_lines
from widgets.lines import text_of
from widgets.sheet import Sheet, TextSheet
from widgets.tones import Tone


class _Records(Sheet):
    """The records, wrapped to the width there is; None before they are read."""

    records: Sequence[Record] | None = None

    def draw(self, width: int) -> Content:
        if self.records is None:
            return text_of([[("reading…", Tone.MUTED)]])
        lines = audit_lines(self.records, width)
        return text_of(lines or [[("nothing has been done yet", Tone.MUTED)]], width)


class AuditScreen(DeckScreen[None]):
    """The audit trail, read when it is opened."""

    PLACE = Place.READING
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.READING)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.deeds = {commands.READ_BACK.id: lambda: self.dismiss(None)}

    def compose(self) -> ComposeResult:
        yield TextSheet(classes="title")
        with VerticalScroll(classes="page"):
            yield _Records(id="records")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(".title", TextSheet).show(
            text_of([[("Audit", Tone.STRONG), ("   newest first, times in UTC", Tone.MUTED)]])
        )
        self.query_one(VerticalScroll).focus()
        self.read()

    @work(group="journal", exclusive=True)
    async def read(self) -> None:
        found = await readings.read_records(self.session.deck)
        if found.why:
            self.say(f"the journal can't be read: {found.why}", Tone.BAD)
        records = self.query_one(_Records)
        records.records = found.records
        records.redraw()
