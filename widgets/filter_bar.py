"""The filter bar: filters as you type, and leaves what is shown alone while a term is half typed or can't be read.

It points at the place dimly then, and offers what could stand there; only enter makes a complaint of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input

from fleet.selection import EVERYTHING, Selection, SelectionError, parse
from fleet.selection_completion import Completion, completions
from fleet.selection_match import quote
from fleet.selection_typing import fields_begun, gone_on
from widgets.fitting import fit, printable, width_of
from widgets.lines import spread, text_of
from widgets.sheet import Sheet
from widgets.tones import Tone

_HINT = "category=h100  stage=quarantined  image!=v2  gpu_temp>85  any word"
_PROMPT = 2


class _Completer(Suggester):
    """Offers the first completion of the selection language as the greyed rest of the line."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.known: Mapping[str, Collection[str]] = {}

    async def get_suggestion(self, value: str) -> str | None:
        if not value or value.endswith(" "):
            return None
        taken = self.taken(value)
        return taken.applied(value) if taken is not None else None

    def offered(self, value: str) -> tuple[Completion, ...]:
        """What could stand at the end of what is typed."""
        return completions(value, len(value), self.known)

    def taken(self, value: str) -> Completion | None:
        """What tab takes: the first that goes on from what is typed."""
        for offered in self.offered(value):
            whole = offered.applied(value)
            if whole.startswith(value) and whole != value:
                return offered
        return None

    def says(self, value: str) -> str:
        """What could stand there, in words; empty where nothing is known."""
        taken = self.taken(value)
        return ", ".join(f"{each.text} (tab)" if each == taken else each.text for each in self.offered(value))


class _UnderLine(Sheet):
    """How many nodes match. While a term is half typed: a hint or a caret under its place, and how many are still shown."""

    count = ""
    hint = ""
    caret: int | None = None
    tone = Tone.MUTED

    def matched(self, count: str) -> None:
        if count != self.count:
            self.count = count
            self.redraw()

    def say(self, hint: str, caret: int | None = None, tone: Tone = Tone.MUTED) -> None:
        """Show `hint`, with a caret under a character of what is typed on the side with room."""
        self.hint, self.caret, self.tone = hint, caret, tone
        self.redraw()

    def draw(self, width: int) -> Content:
        if not self.hint:
            return text_of([[(" " * _PROMPT + self.count, Tone.MUTED)]], width)
        line, still = self._pointed(width), f"still {self.count} "
        if self.count and width_of(line) + 3 + width_of(still) <= width:
            return text_of([spread([(line, self.tone)], [(still, Tone.MUTED)], width)], width)
        return text_of([[(line, self.tone)]], width)

    def _pointed(self, width: int) -> str:
        says = printable(self.hint)
        if self.caret is None:
            return " " * _PROMPT + says
        place = min(_PROMPT + self.caret, width - 1)
        if place + 2 + width_of(says) <= width:
            return " " * place + f"^ {says}"
        if width_of(says) + 1 <= place:
            return " " * (place - width_of(says) - 1) + f"{says} ^"
        # Cut on the side with more room: the place counts more than the last of the words.
        return " " * place + f"^ {says}" if place < width // 2 else f"{fit(says, place - 1)} ^"


class FilterBar(Vertical):
    """One line to type in, one line to say what is wrong with it, or how many nodes match."""

    DEFAULT_CSS = """
    FilterBar {
        height: 2;
        background: $surface;
        & > Input { height: 1; border: none; padding: 0 1 0 2; background: $surface; }
        & > Input:focus { border: none; }
        & > _UnderLine { height: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Clear the filter", show=False, id="filter.leave"),
        Binding("tab", "complete", "Complete", show=False, priority=True, id="filter.complete"),
    ]

    class Filtered(Message):
        """The text can be read: show these nodes.

        `gone_on` is what it may become as its last value is typed on. Where that finds nodes and `selection` none, it is not
        yet what is meant: `hold` is the answer.
        """

        def __init__(self, selection: Selection, gone_on: Selection | None = None) -> None:
            super().__init__()
            self.selection = selection
            self.gone_on = gone_on

    class Accepted(Message):
        """Enter: keep the filter and go back to the table."""

    class Left(Message):
        """Escape: go back, without the filter."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._completer = _Completer()
        self._input = Input(placeholder=_HINT, suggester=self._completer, select_on_focus=False)
        self._line = _UnderLine()
        self._read: Selection | SelectionError = EVERYTHING
        self._asked = EVERYTHING

    def compose(self) -> ComposeResult:
        yield self._input
        yield self._line

    @property
    def text(self) -> str:
        """What is typed."""
        return self._input.value

    def start(self, text: str, known_values: Mapping[str, Collection[str]]) -> None:
        """Take the focus, with this text as a whole; `known_values` by field are what is offered while typing."""
        self._completer.known = known_values
        with self._input.prevent(Input.Changed):
            self._input.value = text
        self._input.cursor_position = len(text)
        self._input.focus()
        self._take(text)
        if isinstance(self._read, Selection) and (self._read or self._asked):
            self._ask(self._read)

    def know(self, values: Mapping[str, Collection[str]]) -> None:
        """Offer these values from now on."""
        self._completer.known = values

    def matched(self, shown: int, total: int) -> None:
        """Say how many nodes the filter that is shown lets through."""
        self._line.matched(f"{shown:,} of {total:,} nodes" if self._asked else "")

    def hold(self, selection: Selection) -> None:
        """What was asked for finds nobody yet and is not shown: say what its last value could become."""
        if selection != self._read:
            return  # it was typed on meanwhile
        offered = self._completer.offered(self.text)
        self._line.say(
            self._completer.says(self.text) or "nobody has exactly that; * stands for any rest",
            self._place(offered[0].start) if offered else None,
        )

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        read = self._take(event.value)
        if isinstance(read, SelectionError):
            return
        if fields := fields_begun(read, event.value):
            word = read.terms[-1].values[0].text
            self._line.say(f"enter looks for {quote(word)}, or type on: {', '.join(fields)}")
        else:
            self._ask(read, gone_on(read, event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if isinstance(self._read, SelectionError):
            self._line.say(self._read.message, self._place(self._read.position), Tone.BAD)
            return
        self._line.say("")
        self._ask(self._read)
        self.post_message(self.Accepted())

    def _take(self, text: str) -> Selection | SelectionError:
        """Read what is typed. What can't be read is pointed at, with what could stand there; what is shown stays."""
        try:
            self._read = parse(text) if text.strip() else EVERYTHING
            self._line.say("")
        except SelectionError as error:
            self._read = error
            offered = self._completer.says(text) if self._completer.taken(text) else ""
            self._line.say(offered or error.message, self._place(error.position))
        return self._read

    def _ask(self, selection: Selection, longer: Selection | None = None) -> None:
        self._asked = selection
        if not selection:
            self._line.matched("")
        self.post_message(self.Filtered(selection, longer))

    def _place(self, position: int) -> int:
        """Where a character of what is typed stands in the line."""
        return max(0, position - int(self._input.scroll_offset.x))

    def action_leave(self) -> None:
        self._input.value = ""
        self.post_message(self.Left())

    def action_complete(self) -> None:
        self._input.action_cursor_right()
