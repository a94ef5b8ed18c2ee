"""The confirm screen: what a verb would do, to what, at what cost, and why not. Nothing happens before it is confirmed.

The plan that is shown is the plan that runs: it is read again at the confirmation, and what differs is shown instead.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.timer import Timer
from textual.widgets import Input

from fleet.evidence import fault_of
from fleet.holder import HolderKind
from fleet.node import NodeKey
from fleet.plan import Options, Plan, Request, Verb
from fleet.runner import OperationRun
from tui import commands, proposals
from tui.command import Place, Standing
from tui.screens.base import DeckScreen, bindings_of
from tui.screens.forms import Field
from tui.screens.options import Offered, OptionsPanel
from tui.screens.plan_text import PlanText
from tui.session import Session
from widgets.fitting import printable
from widgets.lines import text_of
from widgets.plan_lines import phrase, way_on
from widgets.sheet import TextSheet
from widgets.tones import Tone
from widgets.wording import counted

CLOSING = (Verb.CORDON, Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE)
"""Verbs that close a node: a reason is asked for, and kept on the node."""

SETTLES = 0.3
"""Seconds after the last change of an option before the plan is read again."""

TITLES = {
    Verb.GATE: "Gate",
    Verb.CORDON: "Cordon",
    Verb.UNCORDON: "Uncordon",
    Verb.DRAIN: "Drain",
    Verb.REIMAGE: "Reimage",
    Verb.RETIRE: "Retire",
    Verb.PROVISION: "Provision",
}


class ConfirmScreen(DeckScreen[OperationRun | None]):
    """Shows a plan and runs it once confirmed. Dismissed with the run, or with None where nothing was done."""

    PLACE = Place.CONFIRM
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.CONFIRM)

    def __init__(
        self,
        session: Session,
        verb: Verb,
        nodes: tuple[NodeKey, ...],
        *,
        hidden: tuple[NodeKey, ...] = (),
        options: Options | None = None,
        of: str = "",
    ) -> None:
        """`hidden` are those of `nodes` that the filter hides; `of` names the group that they are all of."""
        super().__init__(session)
        deck = session.deck
        chosen = options or Options(check_only=verb is Verb.GATE and deck.dispatcher.read_only)
        self.request: Request = deck.request(verb, nodes, "", chosen)
        self.hidden = hidden
        self._group, self._asked = of, nodes
        self.plan: Plan | None = None
        self.wrong = ""
        self._was_left = False
        self._settling: Timer | None = None
        self.deeds = {
            commands.RUN.id: self.confirm,
            commands.REFUSE.id: lambda: self.close(None),
            commands.OPTIONS.id: self.focus_next,
            commands.RETRY.id: self.read_again,
            commands.LEAVE_OUT.id: self.leave_out,
            commands.PLAN_UP.id: lambda: self.text.scroll_relative(y=-1, animate=False),
            commands.PLAN_DOWN.id: lambda: self.text.scroll_relative(y=1, animate=False),
            commands.PLAN_PAGE_UP.id: lambda: self.text.scroll_page_up(animate=False),
            commands.PLAN_PAGE_DOWN.id: lambda: self.text.scroll_page_down(animate=False),
        }

    @property
    def verb(self) -> Verb:
        return self.request.verb

    @property
    def must_say_why(self) -> bool:
        return self.verb in CLOSING or bool(self.request.options.accept)

    @property
    def asks_why(self) -> bool:
        """Whether a reason can be typed: of everything that changes something. The keyboard is that line's from the start."""
        return not self.request.options.check_only

    @property
    def options(self) -> OptionsPanel:
        return self.query_one(OptionsPanel)

    @property
    def text(self) -> PlanText:
        return self.query_one(PlanText)

    def compose(self) -> ComposeResult:
        yield TextSheet(id="title", classes="title")
        yield PlanText(self.session.glyphs)
        with Vertical(id="form", classes="form"):
            yield OptionsPanel(self._offered(), self.request.options, self.session.glyphs)
            reasons = self.session.reasons
            hint = f"{reasons[0]}  (→ takes it)" if reasons else "why, and for whom: it is kept on the node"
            reason = Field("reason", hint=hint, suggestions=reasons, name="reason")
            reason.set_class(not self.asks_why, "hidden")
            yield reason
            yield Field("", name="typed").add_class("hidden")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        super().on_mount()
        self._title()
        if self.asks_why:
            self._field("reason").line.focus()
        else:
            self.set_focus(None)
        self.read_again()

    def standing(self) -> Standing:
        return replace(
            self.session.standing(),
            blocked=bool(self._blocked()),
            plannable=self._rest() != (),
            options=self.options.any,
        )

    def read_again(self) -> None:
        """Read the ground and plan; what was shown counts no more until it is there."""
        self.plan = None
        self.text.doubt()
        self.say("reading the ground…", Tone.NOTE)
        self.show_keys()
        self.read(self.request)

    @work(group="plan", exclusive=True)
    async def read(self, request: Request) -> None:
        self.show(await proposals.propose(self.session.deck, request))

    def show(self, found: proposals.Proposal, note: str = "") -> None:
        """Show a plan, or why there is none. One that comes when the screen was left already is nobody's."""
        if self._was_left:
            return
        self.plan = found.plan
        if found.plan is None:
            self.say(f"no plan: {found.why}. {self.keys_of(commands.RETRY)} tries again", Tone.BAD)
            return
        self.text.show(found.plan, self.hidden)
        self._ask_for_typing(found.plan)
        self._title()
        self.show_keys()
        blockers = found.plan.all_blockers
        if note:
            self.say(note, Tone.WARN)
        elif blockers:
            way = f"; {self.keys_of(commands.LEAVE_OUT)} leaves out what is blocked" if self._rest() else ""
            self.say(f"blocked: {counted(len(blockers), 'reason')} above{way}", Tone.BAD)
        else:
            self.say("")

    def on_plan_text_moved(self, message: PlanText.Moved) -> None:
        """Say how much of the plan stands above and below what is shown, on the line under it."""
        above, below = self.text.beyond
        says = [f"{self.keys_of(commands.PLAN_DOWN)} {counted(below, 'more line')}"] if below else []
        says += [f"{self.keys_of(commands.PLAN_UP)} {above} above"] if above else []
        self.query_one("#form").border_title = ", ".join(says)

    def confirm(self) -> None:
        """Run what is shown, unless something is still missing, which is said."""
        missing = self._missing()
        if missing or self.plan is None:
            self.say(missing, Tone.WARN)
            return
        reason = self._field("reason").value
        self.session.remember(reason)
        self.run_it(self.plan, replace(self.request, reason=reason))

    @work(group="plan", exclusive=True)
    async def run_it(self, shown: Plan, request: Request) -> None:
        self.say("confirmed: reading the ground once more…", Tone.NOTE)
        found = await proposals.propose(self.session.deck, request)
        if found.plan is None or self._was_left:
            self.show(found)
            return
        differs = proposals.changed_since_shown(shown, found.plan)
        if differs:
            self.show(found, f"nothing was done. {differs}")
            return
        begun = proposals.begin(self.session.deck, found.plan)
        if begun.run is None:
            self.say(f"nothing was done. {begun.why}", Tone.BAD)
            return
        self.close(begun.run)

    def close(self, run: OperationRun | None) -> None:
        """Leave. Keys that were meant for this screen must not act as verbs on the one below."""
        if self._was_left:
            return
        self._was_left = True
        self.session.confirm_closed()
        self.dismiss(run)

    def leave_out(self) -> None:
        """Go on with the nodes that nothing blocks."""
        rest = self._rest()
        left = len(self.request.nodes) - len(rest)
        self.request = replace(self.request, nodes=rest)
        self.hidden = tuple(node for node in self.hidden if node in rest)
        self.read_again()
        self.say(f"left out {counted(left, 'node')}; reading the ground…", Tone.NOTE)

    def on_options_panel_changed(self, message: OptionsPanel.Changed) -> None:
        self.wrong = ""
        self.plan = None
        self.request = replace(self.request, options=message.options)
        self.say("reading the ground…", Tone.NOTE)
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(SETTLES, self.read_again)

    def on_options_panel_wrong(self, message: OptionsPanel.Wrong) -> None:
        self.wrong = message.why
        self.say(message.why, Tone.BAD)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.do(commands.RUN)

    def _missing(self) -> str:
        """What still stands between this screen and the run, in words; the cursor goes to where it is asked."""
        plan = self.plan
        if plan is None:
            return "still reading: nothing runs before it is shown"
        if self.wrong:
            return self.wrong
        if plan.all_blockers:
            return self._why_blocked(plan)
        if not plan.steps:
            return "there is nothing to do: it is so already"
        reason, typed = self._field("reason"), self._field("typed")
        if self.must_say_why and not reason.value:
            reason.line.focus()
            return "a reason is asked for: it is kept on the node"
        if plan.typed and typed.value != phrase(plan):
            typed.line.focus()
            return f"type {phrase(plan)} to {self.verb.value}: this can't be confirmed by a key"
        return ""

    def _why_blocked(self, plan: Plan) -> str:
        if self._rest():
            blocked = f"{len(self._blocked())} of {counted(len(plan.nodes), 'node')}"
            return f"{blocked} blocked: {self.keys_of(commands.LEAVE_OUT)} leaves them out"
        first = plan.all_blockers[0]
        return f"blocked: {first.says}" + (f": {way_on(first.go_on, first.kind)}" if first.go_on else "")

    def _ask_for_typing(self, plan: Plan) -> None:
        field = self._field("typed")
        field.set_class(not plan.typed, "hidden")
        if plan.typed:
            field.relabel("to confirm, type")
            field.line.placeholder = phrase(plan)

    def _title(self) -> None:
        nodes = self.request.nodes
        what = printable(nodes[0].name, 80) if len(nodes) == 1 else counted(len(nodes), "node")
        if self._group and len(nodes) > 1 and nodes == self._asked:
            what = f"all {what} of {printable(self._group, 60)}"
        verb = TITLES[self.verb] + (
            " (check only: read-only session)" if self.request.options.check_only else ""
        )
        where = printable(self.session.deck.title, 60)
        self.query_one("#title", TextSheet).show(
            text_of([[(f"{verb} {what}", Tone.STRONG), (f"   on {where}", Tone.MUTED)]])
        )

    def _field(self, about: str) -> Field:
        return next(field for field in self.query(Field) if field.about == about)

    def _blocked(self) -> frozenset[NodeKey]:
        return frozenset(node.node for node in self.plan.nodes if node.blockers) if self.plan else frozenset()

    def _rest(self) -> tuple[NodeKey, ...]:
        """The nodes that nothing blocks, where others are."""
        blocked = self._blocked()
        if self.plan is None or self.plan.blockers or not blocked:
            return ()
        return tuple(node for node in self.request.nodes if node not in blocked)

    def _offered(self) -> Offered:
        rows = [row for row in map(self.session.deck.store.record, self.request.nodes) if row is not None]
        images = {row.node.image.desired or "" for row in rows}
        me = self.session.deck.by
        holders = {
            hold.by: None
            for row in rows
            for hold in row.holds
            if hold.by and (hold.kind is not HolderKind.OURS or hold.by != me)
        }
        image, jobs, pods = images.pop() if len(images) == 1 else "", self._told("jobs"), self._told("pods")
        fault = any(fault_of(row.node) for row in rows)
        return Offered(self.verb, image, tuple(holders), jobs=jobs, pods=pods or not jobs, fault=fault)

    def _told(self, what: str) -> bool:
        """Whether a source of these nodes, or of their machines' other sides, tells of such work."""
        rows = [row for row in map(self.session.deck.store.record, self.request.nodes) if row is not None]
        sources = {node.source for node in self.request.nodes}
        sources |= {
            row.pair.twin.key.source for row in rows if row.pair is not None and row.pair.twin is not None
        }
        return any(feed.source in sources and feed.name == what for feed in self.session.deck.feeds)
