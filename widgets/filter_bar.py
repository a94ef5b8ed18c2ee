"""The filter bar: filters as you type, and points at what it can't read instead of showing nothing."""

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
from fleet.selection_completion import completions
from widgets.fitting import printable, width_of
from widgets.lines import text_of
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
        for offered in completions(value, len(value), self.known):
            whole = offered.applied(value)
            if whole.startswith(value) and whole != value:
                return whole
        return None


class _UnderLine(Sheet):
    """How many nodes match, or a caret under the character that can't be read, and why, on the side with room."""

    says = ""
    caret: int | None = None

    def say(self, text: str) -> None:
        self.says, self.caret = text, None
        self.redraw()

    def complain(self, error: SelectionError, scrolled: int) -> None:
        self.says, self.caret = error.message, max(0, error.position - scrolled)
        self.redraw()

    def draw(self, width: int) -> Content:
        if self.caret is None:
            return text_of([[(" " * _PROMPT + self.says, Tone.MUTED)]], width)
        place = min(_PROMPT + self.caret, width - 1)
        says = printable(self.says)
        if place + 2 + width_of(says) <= width:
            line = " " * place + f"^ {says}"
        elif width_of(says) + 1 <= place:
            line = " " * (place - width_of(says) - 1) + f"{says} ^"
        else:
            line = " " * _PROMPT + says
        return text_of([[(line, Tone.BAD)]], width)


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
        """The text can be read: show these nodes."""

        def __init__(self, selection: Selection) -> None:
            super().__init__()
            self.selection = selection

    class Accepted(Message):
        """Enter: keep the filter and go back to the table."""

    class Left(Message):
        """Escape: go back, without the filter."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._completer = _Completer()
        self._input = Input(placeholder=_HINT, suggester=self._completer, select_on_focus=False)
        self._line = _UnderLine()
        self._readable = True

    def compose(self) -> ComposeResult:
        yield self._input
        yield self._line

    @property
    def text(self) -> str:
        """What is typed."""
        return self._input.value

    def start(self, text: str, known_values: Mapping[str, Collection[str]]) -> None:
        """Take the focus, with this text; `known_values` by field are what is offered while typing."""
        self._completer.known = known_values
        self._input.value = text
        self._input.cursor_position = len(text)
        self._input.focus()

    def matched(self, shown: int, total: int) -> None:
        """Say how many nodes the filter lets through."""
        if self._readable:
            self._line.say(f"{shown:,} of {total:,} nodes")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        try:
            selection = parse(event.value) if event.value.strip() else EVERYTHING
        except SelectionError as error:
            self._readable = False
            self._line.complain(error, int(self._input.scroll_offset.x))
            return
        self._readable = True
        self._line.say("")
        self.post_message(self.Filtered(selection))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._readable:
            self.post_message(self.Accepted())

    def action_leave(self) -> None:
        self._input.value = ""
        self.post_message(self.Left())

    def action_complete(self) -> None:
        self._input.action_cursor_right()
