"""One node's timeline: what happened to it, from every source, filtered by kind, and written to a file for the incident note."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta, tzinfo
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content

from fleet.node import NodeKey
from fleet.timeline import EntryKind, Timeline, timeline
from fleet.timeline_markdown import markdown_of, zone_of
from tui import commands
from tui.command import Place
from tui.messages import RunsChanged
from tui.note_file import write_new
from tui.past import DAY, MONTH, WEEK, known_now, read_timeline
from tui.screens.base import DeckScreen, bindings_of
from tui.screens.choose import Choice, ChooseScreen
from tui.session import Session
from widgets.fitting import printable
from widgets.lines import LineOf, text_of
from widgets.sheet import Sheet, TextSheet
from widgets.timeline_lines import timeline_lines
from widgets.tones import Tone
from widgets.wording import counted, span

EVERY = 15.0
"""Seconds between two readings while the screen is open."""

NAME = 80
"""Characters of the node's name in the head: a longer one would leave no room for what happened."""

SPANS = (WEEK, MONTH, DAY)


class _Entries(Sheet):
    """The lines, wrapped to the width there is."""

    def __init__(self, screen: TimelineScreen) -> None:
        super().__init__(id="entries")
        self._of = screen

    def draw(self, width: int) -> Content:
        return text_of(self._of.lines(width), width)


class TimelineScreen(DeckScreen[None]):
    """Shows at once what is known here, and the rest as it is read; read again every few seconds."""

    PLACE = Place.TIMELINE
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.TIMELINE)

    def __init__(self, session: Session, node: NodeKey) -> None:
        super().__init__(session)
        self.node = node
        self._span: timedelta = WEEK
        self._kind: EntryKind | None = None
        self._oldest_first = False
        self._zone: tzinfo = UTC
        now = session.now
        self.told = timeline(node, known_now(session.deck, node), now, since=now - WEEK)
        self._read = False
        self.deeds = {
            commands.TIMELINE_KINDS.id: self.choose_kind,
            commands.TIMELINE_SPAN.id: self.next_span,
            commands.TIMELINE_ORDER.id: self.turn_round,
            commands.TIMELINE_LOCAL.id: self.change_zone,
            commands.TIMELINE_WRITE.id: self.write,
            commands.TIMELINE_BACK.id: lambda: self.dismiss(None),
        }

    def compose(self) -> ComposeResult:
        yield TextSheet(classes="title")
        with VerticalScroll(classes="page"):
            yield _Entries(self)
        yield from self.compose_foot()

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(VerticalScroll).focus()
        self.set_interval(EVERY, self.read)
        self.paint()
        self.read()

    @property
    def shown(self) -> Timeline:
        """What the filter lets through."""
        return self.told.only((self._kind,) if self._kind is not None else ())

    @work(group="timeline", exclusive=True)
    async def read(self) -> None:
        """Ask everybody who can tell."""
        self.told = await read_timeline(self.session.deck, self.node, self._span)
        self._read = True
        self.paint()

    def paint(self) -> None:
        """Show it as it was last read."""
        hidden = len(self.told.entries) - len(self.shown.entries)
        kind = f"{self._kind.value} alone ({hidden} hidden)" if self._kind is not None else "every kind"
        order = "oldest first" if self._oldest_first else "newest first"
        zone = zone_of(self.session.now, self._zone)
        says = f"   last {span(self._span)}, {kind}, {order}, times in {zone}"
        named = [(f"Timeline of {printable(self.node.name, NAME)}", Tone.STRONG), (says, Tone.MUTED)]
        self.query_one(".title", TextSheet).show(text_of([named]))
        self.query_one(_Entries).redraw()

    def lines(self, width: int) -> list[LineOf]:
        """The whole page: the entries, then what could not be read."""
        shown = self.shown
        entries = shown.oldest_first if self._oldest_first else shown.entries
        lines: list[LineOf] = timeline_lines(entries, self._zone, self.session.glyphs, width)
        if not lines:
            nothing = (
                "nothing of this kind" if self._kind is not None else "nothing is known to have happened"
            )
            lines.append([(nothing if self._read else "reading…", Tone.MUTED)])
        elif not self._read:
            lines += [[], [("reading what others tell…", Tone.MUTED)]]
        if shown.silent:
            lines += [
                [],
                [("not read", Tone.STRONG)],
                *([(f"  {why}", Tone.UNKNOWN)] for why in shown.silent),
            ]
        return lines

    def on_runs_changed(self, message: RunsChanged) -> None:
        self.read()

    def choose_kind(self) -> None:
        """Ask which kind to show; only those that are there are offered."""
        counts = {kind: sum(entry.kind is kind for entry in self.told.entries) for kind in EntryKind}
        choices = [
            Choice("", "everything", counted(len(self.told.entries), "line")),
            *(
                Choice(kind.value, kind.value, counted(count, "line"))
                for kind, count in counts.items()
                if count
            ),
        ]

        def picked(value: str | None) -> None:
            self._kind = EntryKind(value) if value else None
            self.paint()

        self.app.push_screen(ChooseScreen("Show", choices, self._kind.value if self._kind else ""), picked)

    def next_span(self) -> None:
        """The next window: a week, a month, a day."""
        self._span = SPANS[(SPANS.index(self._span) + 1) % len(SPANS)]
        self.paint()
        self.read()

    def turn_round(self) -> None:
        self._oldest_first = not self._oldest_first
        self.paint()
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def change_zone(self) -> None:
        """Between UTC and this machine's own zone."""
        local = self.session.now.astimezone().tzinfo or UTC
        if local.utcoffset(self.session.now) == timedelta(0):
            self.say("this machine's own zone is UTC", Tone.NOTE)
            return
        self._zone = UTC if self._zone is not UTC else local
        self.paint()

    @work(group="note", exclusive=True)
    async def write(self) -> None:
        """Write what is shown to a new file, oldest first, and say which."""
        deck, now = self.session.deck, self.session.now
        row = deck.store.record(self.node)
        category = row.node.category if row is not None else ""
        text = markdown_of(self.shown, self._zone, by=deck.by, category=category)
        try:
            file = await asyncio.to_thread(write_new, text, self.node.name, now)
        except OSError as error:
            self.say(f"it can't be written: {error.strerror or error}", Tone.BAD)
            return
        self.say(f"written to {file}", Tone.GOOD)
