"""What was interrupted and waits to be resumed: said once above the table, and on every node that was left in the middle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tui import commands, readings
from tui.screens.base import DeckScreen
from tui.session import Session
from widgets.lines import text_of
from widgets.sheet import TextSheet
from widgets.tones import Tone
from widgets.wording import counted

EVERY = 30.0
"""Seconds between two looks: a colleague's program, or another of ours, may end in the middle at any time."""


class Leftovers:
    """Looks into the journal for a screen. `painted` is called where a row may say something else than before."""

    def __init__(self, screen: DeckScreen[Any], session: Session, painted: Callable[[], None]) -> None:
        self._screen = screen
        self._session = session
        self._painted = painted
        self._said = False

    def start(self) -> None:
        """Look now, and again while the screen is there."""
        self.look()
        self._screen.set_interval(EVERY, self.look)

    def look(self) -> None:
        """Look again, beside what is going on."""
        # Called only where there is still somebody to look for.
        looking: Callable[[], Awaitable[None]] = self._look
        self._screen.run_worker(looking, group="leftovers", exclusive=True)

    async def _look(self) -> None:
        left = await readings.read_interrupted(self._session.deck)
        key = self._screen.keys_of(commands.OPERATIONS)
        says = dict.fromkeys(readings.cut_off(left), f"interrupted: resume it ({key})")
        if says != self._session.interrupted:
            self._session.interrupted = says
            self._painted()
        if left and not self._said:
            self._say(f"{counted(len(left), 'operation was', 'operations were')} interrupted", key)
        self._said = True

    def _say(self, says: str, key: str) -> None:
        glyph = self._session.glyphs.warn
        line = [(f"{glyph} {says} and can be resumed: {key} shows them", Tone.WARN)]
        self._screen.query_one("#banner", TextSheet).show(text_of([line]))
        self._screen.add_class("with-banner")
