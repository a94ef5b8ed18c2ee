"""The plan as shown before it runs: read it, set its options, say why, and type what must be typed.

It changes nothing itself. A change of options is a message; the application plans anew and shows the new plan.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input

from fleet.node import NodeKey
from fleet.plan import DrainOptions, Plan, Verb
from widgets import plan_lines
from widgets.choice import Choice
from widgets.glyphs import UNICODE, Glyphs
from widgets.lines import LineOf, safe, text_of, wrapped
from widgets.sheet import Sheet, TextSheet
from widgets.tones import Tone
from widgets.wording import counted

_EMPTIES = (Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE)
_OPTIONS = {
    "ignore_daemonsets": "leave DaemonSet pods alone",
    "delete_emptydir": "delete pods that keep data in emptyDir",
    "force": "delete pods that nobody brings back",
}


class _PlanSheet(Sheet):
    plan: Plan | None = None
    hidden: int = 0
    glyphs: Glyphs = UNICODE

    def draw(self, width: int) -> Content:
        if self.plan is None:
            return Content()
        plan, glyphs = self.plan, self.glyphs
        lines: list[LineOf] = [plan_lines.title(plan)]
        if len(plan.nodes) == 1:
            lines.extend(plan_lines.nodes(plan, glyphs, width))
        if self.hidden:
            hidden = counted(self.hidden, "of these nodes is", "of these nodes are")
            lines.append([(f"{glyphs.warn} {hidden} hidden by the filter", Tone.WARN)])
        for heading, block in (
            ("in the way", plan_lines.blockers(plan, glyphs)),
            ("what it costs", plan_lines.cost(plan, glyphs)),
            ("steps", plan_lines.steps(plan)),
            ("nodes as found", plan_lines.nodes(plan, glyphs, width) if len(plan.nodes) > 1 else []),
        ):
            if block:
                lines.extend([[], [(heading, Tone.STRONG)], *block])
        return text_of([part for line in lines for part in wrapped(safe(line), width)], width)


class PlanView(Vertical):
    """Shows a plan, and asks for what its confirmation needs."""

    DEFAULT_CSS = """
    PlanView {
        padding: 0 1;
        & > VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
        & > .options { height: auto; margin-top: 1; display: none; }
        & > .options.shown { display: block; }
        & > .ask { height: 1; }
        & > .ask > TextSheet { width: auto; margin-right: 1; }
        & > .ask > Input { width: 1fr; height: 1; border: none; padding: 0 1; background: $surface; }
        & > .ask > Input:focus { border: none; background: $primary 25%; }
        & > #typed-line { display: none; }
        &.typed > #typed-line { display: block; }
        & > #verdict { height: 1; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "confirm", "Run it", show=False, id="plan.confirm"),
    ]

    class OptionsChanged(Message):
        """Plan anew with these options."""

        def __init__(self, options: DrainOptions) -> None:
            super().__init__()
            self.options = options

    class Confirmed(Message):
        """Everything the plan asks for was given, and enter pressed."""

        def __init__(self, plan: Plan, reason: str) -> None:
            super().__init__()
            self.plan = plan
            self.reason = reason

    _REASONLESS: ClassVar[Collection[Verb]] = (Verb.GATE, Verb.UNCORDON)

    def __init__(self, *, id: str | None = None, glyphs: Glyphs = UNICODE) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._plan: Plan | None = None
        self._glyphs = glyphs
        self._sheet = _PlanSheet()
        self._sheet.glyphs = glyphs
        self._typed_ask = TextSheet()
        self._verdict = TextSheet(id="verdict")
        self._reason = Input(id="reason", placeholder="why, for whoever finds the node closed")
        self._typed = Input(id="typed")
        self._boxes = {name: Choice(label, id=name) for name, label in _OPTIONS.items()}

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield self._sheet
        with Vertical(classes="options"):
            yield from self._boxes.values()
        reason_ask = TextSheet()
        reason_ask.show(text_of([[("reason", Tone.MUTED)]]))
        with Horizontal(classes="ask"):
            yield reason_ask
            yield self._reason
        with Horizontal(classes="ask", id="typed-line"):
            yield self._typed_ask
            yield self._typed
        yield self._verdict

    @property
    def plan(self) -> Plan | None:
        """What is shown."""
        return self._plan

    def show(self, plan: Plan, *, hidden: Collection[NodeKey] = ()) -> None:
        """Show a plan. `hidden` are those of its nodes that the filter hides. What was typed stays."""
        first = self._plan is None
        self._plan = plan
        self._sheet.plan = plan
        self._sheet.hidden = len(hidden)
        self._sheet.redraw()
        drain = plan.request.options.drain
        for name, box in self._boxes.items():
            box.show(getattr(drain, name))
        self.query_one(".options").set_class(plan.verb in _EMPTIES, "shown")
        self.set_class(plan.typed, "typed")
        phrase = plan_lines.phrase(plan)
        self._typed_ask.show(
            text_of([[("type ", Tone.MUTED), (phrase, Tone.STRONG), (" to confirm", Tone.MUTED)]])
        )
        if first:
            self._reason.value = plan.request.reason
        self._judge()

    @property
    def lacks(self) -> str:
        """What still keeps it from being confirmed, in words; empty when nothing does."""
        plan = self._plan
        if plan is None:
            return "there is no plan yet"
        if not plan.free_to_run:
            return "blocked: see what is in the way"
        if not plan.steps:
            return "nothing to do"
        if not self._reason.value.strip() and plan.verb not in self._REASONLESS:
            return "a reason is missing"
        if plan.typed and self._typed.value.strip() != plan_lines.phrase(plan):
            return "its name is not typed yet" if len(plan.nodes) == 1 else "their number is not typed yet"
        return ""

    def action_confirm(self) -> None:
        """Say yes, or go to the field that is missing."""
        plan = self._plan
        if plan is not None and not self.lacks:
            self.post_message(self.Confirmed(plan, self._reason.value.strip()))
            return
        self._judge()
        if plan is not None and plan.free_to_run and plan.steps:
            missing_reason = not self._reason.value.strip() and plan.verb not in self._REASONLESS
            (self._reason if missing_reason else self._typed).focus()

    def _judge(self) -> None:
        lacks = self.lacks
        line: LineOf = (
            [(f"{self._glyphs.note} {lacks}", Tone.WARN)] if lacks else [("enter: run it", Tone.GOOD)]
        )
        self._verdict.show(text_of([line]))

    @on(Input.Changed)
    def _typed_something(self, event: Input.Changed) -> None:
        event.stop()
        self._judge()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_confirm()

    @on(Choice.Turned)
    def _option_set(self, event: Choice.Turned) -> None:
        event.stop()
        if self._plan is not None:
            options = replace(
                self._plan.request.options.drain,
                ignore_daemonsets=self._boxes["ignore_daemonsets"].chosen,
                delete_emptydir=self._boxes["delete_emptydir"].chosen,
                force=self._boxes["force"].chosen,
            )
            self.post_message(self.OptionsChanged(options))
