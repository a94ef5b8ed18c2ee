"""The coach of a drill: what is about to happen, which key does it, what to expect, and what was observed. A strip, or a pane.

It is told everything as texts and paints them; it knows no drill. What a strip has no room for, the screen shows on a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from widgets.fitting import fit, printable, width_of
from widgets.glyphs import Glyphs
from widgets.lines import LineOf, Piece, cut, plain, spread, text_of, width_of_line
from widgets.sheet import Sheet
from widgets.tones import Tone

STRIP_LINES = 9
"""Lines of the coach where it stands below the table."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One expectation of a checkpoint: what is waited for, and what is seen of it."""

    wants: str
    says: str
    met: bool


@dataclass(frozen=True, slots=True)
class CoachFacts:
    """All that the coach says now. `act` is what to do in a few words (`press g: Gate`), `answer` what a key just pressed means.

    `state` is a word (waits, observed, stuck) and `tone` its colour; `before` is the checkpoint observed last; `hints` names the
    drill's own keys.
    """

    title: str
    stage: str
    step: str
    state: str
    tone: Tone
    act: str
    hints: str
    does: str = ""
    why: str = ""
    cost: str = ""
    expect: str = ""
    mechanism: str = ""
    idea: str = ""
    outside: str = ""
    answer: str = ""
    trouble: str = ""
    before: str = ""
    checkpoint: tuple[Observed, ...] = ()


class CoachSheet(Sheet):
    """The coach's text, for a strip of few lines or a pane of any."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._glyphs = glyphs
        self._facts: CoachFacts | None = None
        self.strip = False

    def show(self, facts: CoachFacts, glyphs: Glyphs, *, strip: bool) -> None:
        """Show this, as a strip or as a pane."""
        self._facts, self._glyphs, self.strip = facts, glyphs, strip
        self.redraw()

    def draw(self, width: int) -> Content:
        if self._facts is None or width <= 0:
            return Content()
        lines = strip_lines if self.strip else pane_lines
        return text_of(lines(self._facts, self._glyphs, width), width)


class Coach(VerticalScroll):
    """The coach beside, or below, the fleet. Scrolls where a pane is too short; a strip never does."""

    DEFAULT_CSS = f"""
    Coach {{ dock: right; width: 46; border-left: solid $border-blurred; padding: 0 1; scrollbar-size-vertical: 1; }}
    Coach.-strip {{ dock: bottom; width: 100%; height: {STRIP_LINES + 1}; border-left: none; border-top: solid $border-blurred;
        overflow-y: hidden; }}
    """
    can_focus = False

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._sheet = CoachSheet(glyphs)

    def compose(self) -> ComposeResult:
        yield self._sheet

    def show(self, facts: CoachFacts, glyphs: Glyphs, *, strip: bool) -> None:
        """Show this, as a strip or as a pane."""
        self.set_class(strip, "-strip")
        self._sheet.show(facts, glyphs, strip=strip)


def strip_lines(facts: CoachFacts, glyphs: Glyphs, width: int) -> list[LineOf]:
    """Nine lines: where we are, what happens, the key with its cost, what to expect, and the checkpoint."""
    lines: list[LineOf] = [
        spread([(f"{facts.stage}  ", Tone.STRONG), plain(facts.step)], [(facts.state, facts.tone)], width)
    ]
    told = facts.answer or facts.trouble
    lines += _first(told or facts.does, Tone.WARN if told else Tone.PLAIN, width, 2)
    lines.append(cut([(facts.act, Tone.NOTE), (f"  {facts.cost}" if facts.cost else "", Tone.MUTED)], width))
    if facts.expect:
        lines.append(cut([("Expect  ", Tone.MUTED), plain(facts.expect)], width))
    lines += _evidence(facts, glyphs, width, STRIP_LINES - len(lines) - 1)
    while len(lines) < STRIP_LINES - 1:
        lines.append([])
    lines.append(spread([(facts.title, Tone.MUTED)], [(facts.hints, Tone.MUTED)], width))
    return lines


def pane_lines(facts: CoachFacts, glyphs: Glyphs, width: int) -> list[LineOf]:
    """Everything, wrapped: the checkpoint and the key before the explanations, so that they are seen without scrolling."""
    lines: list[LineOf] = [
        spread([(facts.title, Tone.MUTED)], [(facts.state, facts.tone)], width),
        [(facts.stage, Tone.STRONG)],
        *_said(facts.step, Tone.STRONG, width),
        [],
        *_said(facts.does, Tone.PLAIN, width),
        [],
        *_said(facts.act, Tone.NOTE, width),
        *_labelled("Costs", facts.cost, width),
        *_labelled("Expect", facts.expect, width),
    ]
    for text in (facts.answer, facts.trouble):
        if text:
            lines += [[], *_said(text, Tone.WARN, width)]
    lines += [[], [("Checkpoint", Tone.STRONG)]]
    for each in facts.checkpoint:
        head, says = _mark(each, glyphs)
        lines += _hanging([head], says[0], says[1], width)
    if facts.before:
        lines += [[], *_hanging([(f"{glyphs.good} ", Tone.GOOD)], facts.before, Tone.MUTED, width)]
    lines.append([])
    lines += _labelled("Why", facts.why, width)
    lines += _labelled("How", facts.mechanism, width)
    lines += _labelled("Idea", facts.idea, width)
    lines += _labelled("Outside", facts.outside, width)
    lines += [[], *_said(facts.hints, Tone.MUTED, width)]
    return lines


def _mark(seen: Observed, glyphs: Glyphs) -> list[Piece]:
    """A sign and what is seen; what is still missing says what it waits for first."""
    if seen.met:
        return [(f"{glyphs.good} ", Tone.GOOD), plain(printable(seen.says, 600))]
    return [(f"{glyphs.unchecked} ", Tone.NOTE), (printable(f"{seen.wants}: {seen.says}", 600), Tone.MUTED)]


def _evidence(facts: CoachFacts, glyphs: Glyphs, width: int, room: int) -> list[LineOf]:
    """The checkpoint in `room` lines: each has its first, and what is left over goes to whoever needs it, in order."""
    seen = []
    for each in facts.checkpoint[:room]:
        head, says = _mark(each, glyphs)
        seen.append(_hanging([head], says[0], says[1], width))
    if facts.before and len(seen) < room:
        seen.append([cut([(f"{glyphs.good} {facts.before}", Tone.MUTED)], width)])
    over = room - len(seen)
    lines: list[LineOf] = []
    for said in seen:
        shown = said[: 1 + over]
        over -= max(0, len(shown) - 1)
        if len(shown) < len(said):
            *before, (text, tone) = shown[-1]
            shown = [*shown[:-1], cut([*before, (f"{text} {said[len(shown)][-1][0]}", tone)], width)]
        lines += shown
    return lines


def _first(text: str, tone: Tone, width: int, most: int) -> Iterator[LineOf]:
    """A text in exactly `most` lines; what is cut ends in an ellipsis."""
    found = _said(text, tone, width)
    for number in range(most):
        if number >= len(found):
            yield []
        elif number == most - 1 and len(found) > most:
            whole = "".join(piece for piece, _ in found[number])
            yield [(fit(f"{whole} {found[most][0][0]}", width).rstrip(), tone)]
        else:
            yield found[number]


def _said(text: str, tone: Tone, width: int) -> list[LineOf]:
    """A text wrapped without hanging."""
    lines: list[LineOf] = []
    line = ""
    for word in printable(text, 1200).split():
        if line and width_of(line) + 1 + width_of(word) > width:
            lines.append([(line, tone)])
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        lines.append([(line, tone)])
    return lines


def _labelled(label: str, text: str, width: int) -> list[LineOf]:
    """A text beside its label, hanging."""
    return _hanging([(f"{label:<8}", Tone.MUTED)], text, Tone.PLAIN, width)


def _hanging(head: list[Piece], text: str, tone: Tone, width: int) -> list[LineOf]:
    """A text that goes on under itself, past its head; one without words is no line."""
    hang = width_of_line(head)
    said = [line[0][0] for line in _said(text, tone, max(8, width - hang))]
    return [
        [*(head if number == 0 else [plain(" " * hang)]), (line, tone)] for number, line in enumerate(said)
    ]
