"""The command palette over our own commands: those of the screen it was opened from, and those of the whole program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tui.command import Command
from tui.screens.base import DeckScreen

BEGINS = 1000.0
"""More than any likeness: a label that begins as it was typed is what was meant."""


class CommandsProvider(Provider):
    """Every command that the screen answers to; one that can't be done now says why."""

    async def discover(self) -> Hits:
        for command, does in self._commands():
            yield DiscoveryHit(_shown(command, self._keys(command)), self._deed(command), command.label, does)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command, does in self._commands():
            score = max(matcher.match(command.label), matcher.match(command.does) * 0.8)
            if score > 0 and command.label.lower().startswith(query.strip().lower()):
                score += BEGINS
            if score > 0:
                yield Hit(
                    score, _shown(command, self._keys(command)), self._deed(command), command.label, does
                )

    def _commands(self) -> Iterator[tuple[Command, str]]:
        screen = self.screen
        if not isinstance(screen, DeckScreen):
            return
        at = screen.standing()
        for command in screen.commands():
            if command.label not in ("Up", "Down"):
                why = command.why_not(at)
                yield command, command.does if why is None else f"not now: {why}"

    def _keys(self, command: Command) -> str:
        screen = self.screen
        return screen.keys_of(command) if isinstance(screen, DeckScreen) else ""

    def _deed(self, command: Command) -> Callable[[], None]:
        screen = self.screen
        return partial(screen.choose, command) if isinstance(screen, DeckScreen) else lambda: None


def _shown(command: Command, keys: str) -> Content:
    return Content.assemble(command.label, "  ", (keys, "$foreground 60%"))
