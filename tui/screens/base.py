"""What every screen shares: bindings from the commands, a key answered with its reason, a status line and a footer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen

from tui import commands, keymap
from tui.command import Command, Place, Standing
from tui.commands import COMMANDS
from tui.messages import Asked
from tui.session import Session
from widgets.key_footer import KeyFooter, KeyHint
from widgets.lines import Piece, at_most, plain, safe, text_of, wrapped
from widgets.sheet import Sheet
from widgets.tones import Tone

Result = TypeVar("Result")


def bindings_of(place: Place, *more: Command) -> list[BindingType]:
    """A screen's bindings, but for those that its widgets have for themselves; and `more` of other places."""
    return [
        Binding(command.keys, f"command('{command.id}')", command.label, show=False, id=command.id)
        for command in (*commands.at(place), *more)
        if command.id not in commands.BOUND_BY_WIDGETS
    ]


class StatusLine(Sheet):
    """Says what came of the last key, until the next thing is said: on one line where it fits, on three at most."""

    LINES = 3

    DEFAULT_CSS = (
        "StatusLine { height: auto; min-height: 1; max-height: 3; padding: 0 1; background: $surface; }"
    )

    said: Piece = plain("")

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        self.said = (text, tone)
        self.redraw()

    def draw(self, width: int) -> Content:
        return text_of(at_most(wrapped(safe([self.said]), width), self.LINES, width))


class DeckScreen(Screen[Result]):
    """A screen over a session. `deeds` says what each of its commands does; the rest is the same for all."""

    PLACE: ClassVar[Place]

    def __init__(self, session: Session) -> None:
        self.session = session
        self.deeds: dict[str, Callable[[], object]] = {}
        super().__init__()

    def standing(self) -> Standing:
        """What this screen's commands are judged against now."""
        return self.session.standing()

    def commands(self) -> Iterator[Command]:
        """The commands that this screen answers to, its table's included."""
        yield from commands.at(self.PLACE)
        yield from commands.at(Place.EVERYWHERE)

    def action_command(self, name: str) -> None:
        self.do(COMMANDS[name])

    def choose(self, command: Command) -> None:
        """Do a command that was chosen by name: a widget's own key is pressed for it."""
        if command.id in commands.BOUND_BY_WIDGETS and command.id not in self.deeds:
            self.app.simulate_key(self.session.keys[command.id].split(",")[0])
        else:
            self.do(command)

    def do(self, command: Command) -> None:
        """Do a command, or say why not."""
        why = command.why_not(self.standing())
        if why is not None:
            self.say(f"{command.label}: {why}", Tone.WARN)
        elif command.place is Place.EVERYWHERE:
            self.post_message(Asked(command.id))
        elif command.id in self.deeds:
            self.deeds[command.id]()

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Tell the operator something, on the one line that is for it."""
        for line in self.query(StatusLine):
            line.say(text, tone)

    def keys_of(self, command: Command, most: int = 1) -> str:
        """The command's keys as people read them."""
        return keymap.spelled(self.session.keys[command.id], ascii_only=self.session.plain, most=most)

    def compose_foot(self) -> ComposeResult:
        """The status line and the keys that work here."""
        yield StatusLine(id="status")
        yield KeyFooter(id="keys")

    def show_keys(self) -> None:
        """Write the footer anew: which keys work now may have changed."""
        at = self.standing()
        shown = sorted((each for each in self.commands() if each.footer), key=lambda each: each.footer)
        kept = ("Back",) if self.PLACE is Place.CONFIRM else ("Help", "Back")  # a reason is typed there
        hints = [
            KeyHint(self.keys_of(each), each.label, each.why_not(at) or "", each.id, each.label in kept)
            for each in shown
        ]
        for foot in self.query(KeyFooter):
            foot.show(hints)

    def on_key_footer_pressed(self, message: KeyFooter.Pressed) -> None:
        message.stop()
        self.do(COMMANDS[message.hint.command])

    def on_mount(self) -> None:
        self.show_keys()
