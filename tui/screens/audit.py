"""Who did what, when, and what came of it: the journal's records, newest first."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from fleet.journal import Kind, Record
from tui import commands, readings
from tui.command import Place
from tui.screens.base import DeckScreen, bindings_of
from tui.session import Session
from widgets.fitting import fit, printable
from widgets.lines import LineOf, plain, text_of
from widgets.sheet import TextSheet
from widgets.tones import Tone

_TONES = {
    "failed": Tone.BAD,
    "unknown": Tone.BAD,
    "done": Tone.GOOD,
    "skipped": Tone.MUTED,
    "cancelled": Tone.WARN,
}


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
            yield TextSheet(id="records")
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
        shown = [record_line(record) for record in found.records if record.kind is not Kind.INTENT]
        nothing: list[LineOf] = [[("nothing has been done yet", Tone.MUTED)]]
        self.query_one("#records", TextSheet).show(text_of(shown or nothing))


def record_line(record: Record) -> LineOf:
    """One record on a line."""
    tone = _TONES.get(record.state, Tone.NOTE if record.kind is not Kind.REFUSED else Tone.WARN)
    what = record.state if record.kind in (Kind.OUTCOME, Kind.ENDED) else record.kind.value
    return [
        (f"{record.at:%Y-%m-%d %H:%M:%S}  ", Tone.MUTED),
        (f"{fit(what, 10)} ", tone),
        plain(f"{fit(record.verb, 9)} "),
        (f"{fit(printable(record.node), 18)} ", Tone.STRONG),
        plain(record.says),
        (f"  by {record.by}, {record.operation}", Tone.MUTED),
    ]
