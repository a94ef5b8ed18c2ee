"""The filter bar over the fleet: how it is opened, the keys that work in it, and what is not shown while it is half typed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fleet.selection_completion import KnownValues
from fleet.selection_typing import unfinished
from tui import commands, keymap
from widgets.filter_bar import FilterBar
from widgets.key_footer import KeyHint

if TYPE_CHECKING:
    from fleet.row import FleetRow
    from tui.screens.fleet import FleetScreen


_AT_ONCE = 500
"""Rows whose values are taken in between two breaths of the loop: a few milliseconds."""


class Filtering:
    """The bar of one fleet screen, which shows it by its class `with-filter`."""

    def __init__(self, fleet: FleetScreen) -> None:
        self._fleet = fleet

    @property
    def bar(self) -> FilterBar:
        return self._fleet.query_one(FilterBar)

    @property
    def typing(self) -> bool:
        """Whether the keyboard is the bar's."""
        return self.bar.has_focus_within

    def start(self, selection: str | None = None) -> None:
        """Open the bar with a selection that was made elsewhere, or with what it holds."""
        self._fleet.add_class("with-filter")
        text = self.bar.text if selection is None else selection
        rows, known = list(self._fleet.session.deck.store.rows()), KnownValues()
        known.take(rows[:_AT_ONCE])
        self.bar.start(text, known.told())
        if len(rows) > _AT_ONCE:
            self._fleet.run_worker(self._learn(known, rows), group="values", exclusive=True)

    async def _learn(self, known: KnownValues, rows: Sequence[FleetRow]) -> None:
        """Take in what a large fleet offers, while the first key may be typed already."""
        for first in range(_AT_ONCE, len(rows), _AT_ONCE):
            await asyncio.sleep(0)
            known.take(rows[first : first + _AT_ONCE])
        self.bar.know(known.told())

    def held(self, asked: FilterBar.Filtered) -> bool:
        """Whether what is asked for is half typed and finds nobody yet: what is shown stays, and the bar says so."""
        rows = (row for row in self._fleet.session.deck.store.rows() if row.shown)
        waits = asked.gone_on is not None and unfinished(asked.selection, asked.gone_on, rows)
        if waits:
            self.bar.hold(asked.selection)
        return waits

    def hints(self) -> list[KeyHint]:
        """The bar's own keys."""
        keys = self._fleet.session.keys
        complete, leave = (
            keymap.spelled(keys[command.id], ascii_only=self._fleet.session.plain, most=1)
            for command in (commands.FILTER_COMPLETE, commands.FILTER_LEAVE)
        )
        return [
            KeyHint("enter", "Keep it", command=commands.FILTER.id),
            KeyHint(complete, "Complete", command=commands.FILTER.id),
            KeyHint(leave, "Clear the filter", command=commands.CLEAR.id),
        ]
