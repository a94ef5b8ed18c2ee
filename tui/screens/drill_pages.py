"""Two pages of a drill: all that the coach has to say of a step, and the report at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content

from fleet.drill_report import DrillReport, text_of_report
from fleet.drill_standing import Phase
from fleet.drill_walk import DrillWalk
from tui import commands
from tui.command import Place
from tui.commands import BY_VERB
from tui.screens.base import DeckScreen, bindings_of
from tui.session import Session
from widgets.fitting import printable
from widgets.lines import LineOf, plain, safe, text_of, wrapped
from widgets.sheet import Sheet, TextSheet
from widgets.tones import Tone


class _Page(Sheet):
    """Paragraphs as they wrap; what is set in under another line hangs there."""

    def __init__(self, lines: Sequence[LineOf]) -> None:
        super().__init__(id="text")
        self._lines = lines

    def draw(self, width: int) -> Content:
        return text_of(
            part
            for line in self._lines
            for part in (wrapped(safe(line), width) if line and line[0][0].startswith(" ") else [line])
        )


class DrillPage(DeckScreen[None]):
    """A long text to scroll, under a title."""

    PLACE = Place.READING
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.READING)

    def __init__(self, session: Session, title: str, lines: Iterator[LineOf]) -> None:
        super().__init__(session)
        self._named = title
        self._lines = list(lines)
        self.deeds = {commands.READ_BACK.id: lambda: self.dismiss(None)}

    def compose(self) -> ComposeResult:
        yield TextSheet(classes="title")
        with VerticalScroll(classes="page"):
            yield _Page(self._lines)
        yield from self.compose_foot()

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(".title", TextSheet).show(text_of([[(self._named, Tone.STRONG)]]))
        self.query_one(VerticalScroll).focus()


class ExplainScreen(DrillPage):
    """Everything of a step, and the ideas of the whole drill."""

    def __init__(self, session: Session, walk: DrillWalk) -> None:
        super().__init__(session, f"{walk.stage.title}: {walk.step.title}", _explained(walk))


class ReportScreen(DrillPage):
    """What a walk came to."""

    def __init__(self, session: Session, report: DrillReport) -> None:
        title = "The drill is over: every checkpoint was observed" if report.observed else "The drill is over"
        super().__init__(session, title, _reported(report))


def _explained(walk: DrillWalk) -> Iterator[LineOf]:
    texts, fill = walk.step.texts, walk.fill
    said = (
        ("What happens", texts.does),
        ("Why it matters", texts.why),
        ("What it costs", texts.cost),
        ("What to expect", texts.expect),
        ("How it works", texts.mechanism),
        ("The idea", texts.idea),
        ("From outside", texts.outside),
    )
    for label, text in said:
        if text:
            yield [(label, Tone.STRONG)]
            yield [plain(printable(fill(text), 1200))]
            yield []
    yield [("Checkpoint", Tone.STRONG)]
    if walk.at.phase is Phase.ASKS:
        yield from ([("will show  ", Tone.NOTE), plain(str(wanted))] for wanted in walk.step.expects)
    for seen in () if walk.at.phase is Phase.ASKS else walk.at.seen:
        yield [
            ("observed  " if seen.met else "waits     ", Tone.GOOD if seen.met else Tone.NOTE),
            (f"{seen.expectation}: ", Tone.MUTED),
            plain(printable(seen.says, 1200)),
        ]
    yield []
    yield [("The whole drill", Tone.STRONG)]
    for stage, step in walk.steps:
        verb = f"  {BY_VERB[step.verb].label}" if step.verb else ""
        yield [(f"{stage.title}: ", Tone.MUTED), plain(step.title), (verb, Tone.NOTE)]
        if step.texts.idea:
            yield [(f"    {fill(step.texts.idea)}", Tone.MUTED)]


def _reported(report: DrillReport) -> Iterator[LineOf]:
    for line in text_of_report(report):
        tone = Tone.PLAIN
        if line.startswith("STILL THERE") or (line.startswith("  ") and "NOT observed" in line):
            tone = Tone.BAD
        elif line.startswith("NOT KNOWN"):
            tone = Tone.WARN
        elif ": observed after" in line:
            tone = Tone.GOOD
        yield [(line, tone)]
