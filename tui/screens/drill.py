"""The fleet with a coach beside it: the ordinary dashboard and its ordinary keys, while a drill watches and explains."""

from __future__ import annotations

from dataclasses import replace

from textual.app import App, ComposeResult
from textual.events import Resize
from textual.message import Message

from fleet.drill import Drill
from fleet.drill_report import DrillReport
from fleet.drill_standing import Phase
from fleet.drill_walk import DrillWalk
from fleet.node import NodeKey
from fleet.plan import Options, Verb
from fleet.runner import OperationRun
from tui import commands
from tui.coaching import answer_to, coach_facts
from tui.command import Command, Standing
from tui.commands import BY_VERB
from tui.drill_file import load_drill, packaged
from tui.screens.choose import Choice, ChooseScreen
from tui.screens.drill_pages import ExplainScreen, ReportScreen
from tui.screens.fleet import FleetScreen
from tui.screens.leaving import ask_to_leave
from tui.screens.provision import ProvisionScreen
from tui.session import Session
from tui.walks import Begun, begin
from widgets.coach import Coach
from widgets.tones import Tone

BESIDE_FROM = 110
"""Columns from which the coach stands beside the table; below, it is a strip under it."""


class WalkChanged(Message):
    """The walk is somewhere else. Ask it."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, WalkChanged)


class DrillScreen(FleetScreen):
    """The fleet, walked by a drill. With a `home` the program ends with the walk; without, the fleet is gone back to."""

    pane_from = 10_000  # the coach has the place of the node pane: a node is opened as a page of its own

    def __init__(self, session: Session, drill: Drill, home: DrillHome | None = None) -> None:
        super().__init__(session)
        self.drill = drill
        self._home = home
        self._answer = ""
        self._shown = -1
        self._placed = False
        self.begun: Begun = begin(session.deck, drill, self._walk_changed, self._key_of)
        self.deeds |= {
            commands.DRILL.id: lambda: self.say("a drill is under way: q leaves it", Tone.NOTE),
            commands.DRILL_NEXT.id: self.next,
            commands.DRILL_EXPLAIN.id: self.explain,
            commands.QUIT.id: self.leave,
        }

    @property
    def walk(self) -> DrillWalk | None:
        """The walk; None where it could not begin."""
        return self.begun.walk

    @property
    def strip(self) -> bool:
        """Whether the coach stands below the table."""
        return self.app.size.width < BESIDE_FROM

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield Coach(self.session.glyphs, id="coach")

    def on_mount(self) -> None:
        """Begin the walk. Textual calls the fleet's own `on_mount` beside this one."""
        walk = self.walk
        if walk is None:
            self.app.exit(return_code=self.begun.code, message=f"quarterdeck: {self.begun.why}")
            return
        self.coach()
        self.run_worker(self._go(walk), group="drill", exclusive=True)

    async def _go(self, walk: DrillWalk) -> None:
        await walk.open()
        await walk.go()

    def standing(self) -> Standing:
        return replace(super().standing(), drilling=True)

    def coach(self) -> None:
        """Show what the coach says now."""
        if self.walk is None:
            return
        keys = {command.id: self.keys_of(command) for command in commands.ALL}
        facts = coach_facts(self.walk, keys, self._answer)
        self.query_one(Coach).show(facts, self.session.glyphs, strip=self.strip)

    def on_walk_changed(self, message: WalkChanged) -> None:
        walk = self.walk
        if walk is None:
            return
        if walk.at.number != self._shown:
            self._shown, self._answer = walk.at.number, ""
        self.coach()

    def on_resize(self, event: Resize) -> None:
        self.coach()

    def paint(self, *, resort: bool = False) -> None:
        """Put the cursor on the drill's node when it first appears: the next keys are meant for it."""
        super().paint(resort=resort)
        walk = self.walk
        if walk is not None and not self._placed:
            self._placed = self._to_its_node(walk)

    def _to_its_node(self, walk: DrillWalk) -> bool:
        """Put the cursor on the drill's node, where it is there and no filter hides it."""
        if walk.node not in self.session.deck.store:
            return False
        self.view.reveal(walk.node)
        self.show_table()
        return self.table.put_cursor(walk.node)

    def do(self, command: Command) -> None:
        """Do it as ever; a verb that is not the drill's next, or not for its node, gets an answer beside the coach, too."""
        if self.walk is not None and command.verb is not None:
            keys = {each.id: self.keys_of(each) for each in commands.ALL}
            self._answer = answer_to(self.walk, command, keys, self.targets)
            self.coach()
            if not self._answer and command.why_not(self.standing()) is None:
                arranged = self._do_arranged(self.walk, command, self.targets)
                self.run_worker(arranged, group="drill-step", exclusive=True)
                return
        super().do(command)

    async def _do_arranged(self, walk: DrillWalk, command: Command, nodes: tuple[NodeKey, ...]) -> None:
        """Do the drill's next verb, on the nodes it was meant for, once its step has been arranged: the plan is read with that."""
        walk.go_on()
        await walk.arrange()
        with self.meaning(nodes):
            super().do(command)

    def ask_for_node(self) -> None:
        """Ask for a new node, with the drill's own filled in where that is what comes next."""
        walk = self.walk
        if walk is None or walk.node in self.session.deck.store or walk.step.verb is None:
            super().ask_for_node()
            return

        def filled(asked: tuple[NodeKey, Options] | None) -> None:
            if asked is None:
                return
            if asked[0] != walk.node:
                self._answer = f"{asked[0].name} would be yours to keep and to retire: the drill waits for {walk.node.name}"
                self.coach()
            self.ask(Verb.PROVISION, (asked[0],), asked[1])

        screen = ProvisionScreen(
            self.session,
            walk.node.source,
            self.drill.category,
            name=walk.node.name,
            image=walk.step.image or self.drill.image,
        )
        self.app.push_screen(screen, filled)

    def next(self) -> None:
        """Do the step for the operator, or go on."""
        walk = self.walk
        if walk is None:
            return
        self._answer = ""
        if walk.finished:
            self.leave()
        elif walk.at.phase in (Phase.ASKS, Phase.HOLDS, Phase.STUCK):
            self.say("")
            self._to_its_node(walk)
            self.run_worker(walk.do_it(), group="drill-step", exclusive=True)
        else:
            self.say("it is on its way: the coach says what is waited for", Tone.NOTE)

    def explain(self) -> None:
        """Everything the coach has to say of this step, and the ideas of the whole drill."""
        if self.walk is not None:
            self.app.push_screen(ExplainScreen(self.session, self.walk))

    def leave(self) -> None:
        """Stop, remove what the drill made, and report; at any moment."""
        walk = self.walk
        if walk is None or walk.at.phase is Phase.OVER:
            ask_to_leave(self._leaving)
        elif walk.at.phase is not Phase.LEAVES:
            self.say("leaving the drill: what it made is being removed…", Tone.NOTE)
            self.run_worker(self._leave(walk), group="drill-leave", exclusive=True)

    async def _leave(self, walk: DrillWalk) -> None:
        report = await walk.leave()
        if self._home is not None:
            self._home.report = report
        self.app.push_screen(ReportScreen(self.session, report), lambda _: self._over(report))

    def _over(self, report: DrillReport) -> None:
        if self._home is None:
            self.dismiss(None)
        else:
            ask_to_leave(self._leaving)

    def _walk_changed(self) -> None:
        self.post_message(WalkChanged())

    def _key_of(self, run: OperationRun) -> str:
        return f"key {self.keys_of(BY_VERB[run.plan.verb])}"


class DrillHome:
    """What `quarterdeck drill` opens: the drill's screen as the first one, and the report once it is over."""

    def __init__(self, drill: Drill) -> None:
        self._drill = drill
        self.report: DrillReport | None = None

    def screen(self, session: Session) -> DrillScreen:
        """The first screen, over a session. Its end is the program's."""
        return DrillScreen(session, self._drill, self)


def choose_drill(app: App[None], session: Session) -> None:
    """Ask which of the packaged drills, where there are several, and open its screen over the one that shows."""
    drills = [load_drill(name) for name in packaged()]

    def chosen(name: str | None) -> None:
        drill = next((drill for drill in drills if drill.name == name), None)
        if drill is None:
            return
        screen = DrillScreen(session, drill)
        if screen.walk is not None:
            app.push_screen(screen)
        elif isinstance(app.screen, FleetScreen):
            app.screen.say(f"no drill: {screen.begun.why}", Tone.WARN)

    if len(drills) == 1:
        chosen(drills[0].name)
    else:
        choices = [Choice(drill.name, drill.title, drill.says) for drill in drills]
        app.push_screen(ChooseScreen("Walk which drill?", choices), chosen)
