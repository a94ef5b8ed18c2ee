"""The plan on the confirm screen: what stands in the way and what it costs before the steps. A scrolling text, nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message

from fleet.node import NodeKey
from fleet.plan import Plan
from widgets import plan_lines
from widgets.glyphs import UNICODE, Glyphs
from widgets.lines import LineOf, safe, text_of, wrapped
from widgets.sheet import Sheet
from widgets.tones import Tone
from widgets.wording import counted

NAMED = 8
"""So many of the nodes that the filter hides are named."""


class _PlanSheet(Sheet):
    plan: Plan | None = None
    hidden: tuple[NodeKey, ...] = ()
    glyphs: Glyphs = UNICODE

    def draw(self, width: int) -> Content:
        if self.plan is None:
            return text_of(
                [[("reading the ground: what is there, who holds it, what runs on it", Tone.MUTED)]]
            )
        lines = plan_text(self.plan, self.hidden, self.glyphs, width)
        return text_of(part for line in lines for part in wrapped(safe(line), width))


class PlanText(VerticalScroll, can_focus=False):
    """Shows a plan; scrolls where it is longer than the screen, by keys of the screen: the focus is for what is filled in."""

    DEFAULT_CSS = """
    PlanText { height: 1fr; padding: 1 1 0 1; }
    PlanText.stale { opacity: 60%; }
    """

    class Moved(Message):
        """Another part of the plan is shown, or more or less of it."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, PlanText.Moved)

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="plan")
        self._sheet = _PlanSheet()
        self._sheet.glyphs = glyphs

    def compose(self) -> ComposeResult:
        yield self._sheet

    def on_mount(self) -> None:
        """Hear of every layout: a Resize is not sent of each, and a form that grew shows less of the plan."""
        self.screen.screen_layout_refresh_signal.subscribe(self, lambda _: self._moved())

    def show(self, plan: Plan, hidden: tuple[NodeKey, ...]) -> None:
        """Show a plan that was read just now. `hidden` are those of its nodes that the filter hides."""
        self._sheet.plan, self._sheet.hidden = plan, hidden
        self.remove_class("stale")
        self._sheet.redraw()

    @property
    def beyond(self) -> tuple[int, int]:
        """How many lines stand above what is shown, and how many below."""
        above = round(self.scroll_y)
        return above, max(0, self.max_scroll_y - above)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._moved()

    def _moved(self) -> None:
        self.post_message(self.Moved())

    def doubt(self) -> None:
        """What is shown is being read again."""
        self.set_class(self._sheet.plan is not None, "stale")


def plan_text(plan: Plan, hidden: tuple[NodeKey, ...], glyphs: Glyphs, width: int) -> list[LineOf]:
    """The plan as lines, what would stop one first."""
    lines: list[LineOf] = []
    if hidden:
        names = ", ".join(node.name for node in hidden[:NAMED])
        more = f" and {len(hidden) - NAMED} more" if len(hidden) > NAMED else ""
        says = counted(len(hidden), "of these nodes is", "of these nodes are")
        lines.append(
            [
                (f"{glyphs.warn} {says} marked but hidden by the filter: ", Tone.WARN),
                (names + more, Tone.STRONG),
            ]
        )
        lines.append([])
    shared = _shared_warnings(plan)
    several: list[LineOf] = [
        [(f"{glyphs.warn} {counted(count, 'node')}: ", Tone.WARN), (warning, Tone.WARN)]
        for warning, count in shared.items()
    ]
    for heading, block in (
        ("in the way", plan_lines.blockers(plan, glyphs)),
        ("what it costs", [*plan_lines.cost(plan, glyphs), *several]),
        ("nodes as found", plan_lines.nodes(_without(plan, shared), glyphs, width)),
        ("steps", plan_lines.steps(plan)),
    ):
        if block:
            lines += [[(heading, Tone.STRONG)], *block, []]
    lines.append([(f"plan {plan.hash}", Tone.MUTED)])
    return lines


def _shared_warnings(plan: Plan) -> Mapping[str, int]:
    """Warnings that several nodes have: each is said once, with how many."""
    count = Counter(warning for node in plan.nodes for warning in node.warnings)
    return {warning: nodes for warning, nodes in count.items() if nodes > 1}


def _without(plan: Plan, warnings: Mapping[str, int]) -> Plan:
    nodes = (
        replace(node, warnings=tuple(one for one in node.warnings if one not in warnings))
        for node in plan.nodes
    )
    return replace(plan, nodes=tuple(nodes))
