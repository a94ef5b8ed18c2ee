"""One sitting at one fleet: the deck, the keys, the look, and what was typed before. Every screen is handed the same one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fleet.history import SPANS, Span
from fleet.node import NodeKey
from fleet.operation import OperationState
from fleet.runner import OperationRun
from tui import keymap, themes
from tui.command import Standing
from tui.commands import BY_VERB
from tui.deck import Deck
from tui.running import pending_texts
from widgets.cells import Scene
from widgets.columns import DEFAULT_COLUMNS, Column
from widgets.glyphs import Glyphs

REMEMBERED_REASONS = 20

QUIET = 0.3
"""Seconds after a plan was answered in which a key is taken as meant for the screen that went."""


@dataclass(slots=True)
class Session:
    """`keys` by command id, as resolved from the settings; `reasons` as given in this sitting, newest first.

    `span` is how far charts go back. `interrupted` says of a node that an operation was cut off on it, and how to go on.
    """

    deck: Deck
    keys: Mapping[str, str]
    theme: str = "dark"
    columns: tuple[Column, ...] = DEFAULT_COLUMNS
    reasons: list[str] = field(default_factory=list)
    span: Span = SPANS[1]
    interrupted: Mapping[NodeKey, str] = field(default_factory=dict)
    _answered: float | None = None

    @property
    def glyphs(self) -> Glyphs:
        return themes.glyphs_of(self.theme)

    @property
    def plain(self) -> bool:
        """Whether only ASCII may be drawn."""
        return self.theme == themes.ASCII_NAME

    def confirm_closed(self) -> None:
        """A plan was just answered."""
        self._answered = self.deck.clock.monotonic()

    @property
    def quiet(self) -> bool:
        """Whether keys still belong to a plan that was answered a moment ago."""
        return self._answered is not None and self.deck.clock.monotonic() - self._answered < QUIET

    @property
    def now(self) -> datetime:
        return self.deck.clock.now()

    def scene(self) -> Scene:
        """What the table's rows are seen against now."""
        deck = self.deck
        doing = pending_texts(deck.dispatcher.running())
        return Scene(
            self.now,
            deck.policy,
            self.glyphs,
            doing,
            deck.store.last_known,
            keys=self._pressed(),
            trails=deck.trails,
            interrupted=self.interrupted,
        )

    def _pressed(self) -> Mapping[str, str]:
        """The keys of the verbs, as people read them."""
        return {
            verb.value: keymap.spelled(self.keys[command.id], ascii_only=self.plain, most=1)
            for verb, command in BY_VERB.items()
            if command.id in self.keys
        }

    def standing(self, nodes: tuple[NodeKey, ...] = ()) -> Standing:
        """What commands are judged against when they would act on `nodes`."""
        deck = self.deck
        rows = [row for row in map(deck.store.record, nodes) if row is not None]
        busy = next((run for run in map(deck.dispatcher.busy, nodes) if run is not None), None)
        return Standing(
            deck.policy,
            tuple(rows),
            read_only=deck.dispatcher.read_only,
            busy=busy.operation.id if busy else "",
            simulated=deck.faults is not None,
            provisions=deck.provisions,
            drills=deck.drill_ground is not None,
            last_known=next((row.key.source for row in rows if row.key.source in deck.store.last_known), ""),
        )

    def remember(self, reason: str) -> None:
        """Offer `reason` first the next time one is asked for."""
        if reason:
            kept = [known for known in self.reasons if known != reason]
            self.reasons[:] = [reason, *kept][:REMEMBERED_REASONS]

    def run_of(self, operation: str) -> OperationRun | None:
        """An operation of this program by its id, running or ended."""
        return self.deck.dispatcher.runs.get(operation)


def is_live(run: OperationRun) -> bool:
    """Whether a run of this program has not ended."""
    return run.operation.state is OperationState.RUNNING
