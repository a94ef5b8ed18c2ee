"""What happened, for the screens: past facts that carry nothing and merge, so that any of them may be lost."""

from __future__ import annotations

from textual.message import Message


class FleetChanged(Message):
    """The store is at another revision. Ask it what changed since the one that is painted."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, FleetChanged)


class RunsChanged(Message):
    """An operation of this program moved on. Ask the dispatcher."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RunsChanged)


class Asked(Message):
    """A command of the whole program was chosen on a screen."""

    def __init__(self, command: str) -> None:
        super().__init__()
        self.command = command
