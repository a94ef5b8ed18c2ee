"""How the program is left: at once where nothing runs, else after being asked what becomes of what runs."""

from __future__ import annotations

from tui.screens.ask import Answer, AskScreen
from tui.screens.base import DeckScreen
from tui.session import Session
from widgets.lines import LineOf, plain
from widgets.tones import Tone
from widgets.wording import counted


class Leaving:
    """Whether the program is to end once nothing runs any more."""

    def __init__(self, screen: DeckScreen[None], session: Session) -> None:
        self._screen = screen
        self.session = session
        self.waits = False

    @property
    def screen(self) -> DeckScreen[None]:
        return self._screen

    def look(self) -> None:
        """End the program where it waits and nothing runs."""
        if self.waits and not self.session.deck.dispatcher.running():
            self._screen.app.exit()

    def wait(self) -> None:
        self.waits = True
        self._screen.say("leaving once nothing runs any more", Tone.NOTE)
        self.look()

    async def leave_resumable(self) -> None:
        """Stop every operation at a safe point, so that it can be resumed, and end."""
        self._screen.say("stopping at safe points…", Tone.NOTE)
        await self.session.deck.dispatcher.leave()
        self._screen.app.exit()


def ask_to_leave(leaving: Leaving) -> None:
    """End, or ask first where operations run."""
    running = leaving.session.deck.dispatcher.running()
    if not running:
        leaving.screen.app.exit()
        return
    lines: list[LineOf] = [
        [
            (f"{run.plan.verb.value} ", Tone.STRONG),
            plain(counted(len(run.plan.nodes), "node")),
            (f"  {run.operation.id}", Tone.MUTED),
        ]
        for run in running
    ]
    lines += [
        [],
        [
            plain(
                "Left resumable, each stops at a safe point; its nodes stay as they are, and the next start offers it."
            )
        ],
    ]
    answers = (Answer("w", "Wait, then quit", "wait"), Answer("l", "Leave resumable", "leave"))

    def answered(answer: str | None) -> None:
        if answer == "wait":
            leaving.wait()
        elif answer == "leave":
            leaving.screen.run_worker(leaving.leave_resumable(), group="leave", exclusive=True)

    title = f"{counted(len(running), 'operation runs', 'operations run')} here"
    leaving.screen.app.push_screen(AskScreen(title, lines, answers, "Stay"), answered)
