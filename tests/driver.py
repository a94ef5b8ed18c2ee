"""Walks through the dashboard as an operator would: by the commands' keys, seeing only what is on the screen.

async with at_the_desk() as at:
    await at.select("h100-001")
    await at.press(CORDON)
    await at.confirm("maintenance")
    await at.sees("cordoned by oncall@desk")
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from textual.pilot import Pilot

from fleet.node import NodeKey
from tests.lab_fleet import Fleet, lab_fleet
from tui.app import QuarterdeckApp
from tui.command import Command
from tui.commands import RUN
from tui.deck import Deck
from tui.screens.confirm import ConfirmScreen
from tui.screens.fleet import FleetScreen
from tui.screens.forms import Field, Toggle
from tui.session import QUIET
from tui.settings import Settings

PATIENCE = 15.0
"""Seconds of real time after which a thing that is waited for is said never to come."""

_NAMES = {
    " ": "space",
    "-": "minus",
    "=": "equals_sign",
    ".": "full_stop",
    ",": "comma",
    ">": "greater_than_sign",
}


class Driver:
    """One operator at one dashboard."""

    def __init__(self, app: QuarterdeckApp, pilot: Pilot[None], fleet: Fleet | None = None) -> None:
        self.app = app
        self.pilot = pilot
        self._fleet = fleet

    @property
    def fleet(self) -> Fleet:
        assert self._fleet is not None
        return self._fleet

    @property
    def deck(self) -> Deck:
        assert self.app.session is not None
        return self.app.session.deck

    @property
    def fleet_screen(self) -> FleetScreen:
        return next(screen for screen in self.app.screen_stack if isinstance(screen, FleetScreen))

    def text(self) -> str:
        """What is on the screen now, line by line."""
        width, height = self.app.size
        lines = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text[:width] for strip in lines[:height])

    async def press(self, *keys: Command | str) -> Driver:
        """Press each command's first key, or the keys given."""
        assert self.app.session is not None
        for key in keys:
            await self._ready_for_keys()
            name = self.app.session.keys[key.id].split(",")[0] if isinstance(key, Command) else key
            await self.pilot.press(name)
        await self.pilot.pause()
        return self

    async def _ready_for_keys(self) -> None:
        """Wait as a person does after a plan was answered."""
        session = self.app.session
        if session is not None and session.quiet and isinstance(self.app.screen, FleetScreen):
            if self._fleet is not None:
                await self._fleet.clock.advance(timedelta(seconds=2 * QUIET))
            await self.until(lambda: not session.quiet, "the end of the quiet moment")

    async def type(self, text: str) -> Driver:
        for letter in text:
            await self.pilot.press(_NAMES.get(letter, letter))
        await self.pilot.pause()
        return self

    async def until(self, true: Callable[[], bool], what: str) -> Driver:
        """Let the program run until something is so."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not true():
                    await self.pilot.pause()
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"{what} never came; the screen shows:\n{self.text()}") from None
        return self

    async def sees(self, *texts: str) -> Driver:
        """Wait until each text is on the screen."""
        for text in texts:
            await self.until(lambda wanted=text: wanted in self.text(), repr(text))  # type: ignore[misc]
        return self

    async def sees_no(self, text: str) -> Driver:
        """Wait until a text is gone from the screen."""
        return await self.until(lambda: text not in self.text(), f"the end of {text!r}")

    async def select(self, name: str) -> Driver:
        """Put the cursor on a node, once the screen has taken it in."""
        screen = self.fleet_screen
        key = NodeKey(next(iter(self.deck.store.rows())).key.source, name)
        await self.until(lambda: screen.view.reveal(key) is not None, f"{name} on the table")
        screen.show_table()
        assert screen.table.put_cursor(key), f"{name} is not on the table"
        await self.pilot.pause()
        return self

    async def mark(self, *names: str) -> Driver:
        """Mark nodes, one after the other."""
        for name in names:
            await self.select(name)
            await self.press("space")
        return self

    async def planned(self) -> Driver:
        """Wait until the confirm screen shows its plan."""

        def there() -> bool:
            screen = self.app.screen
            return isinstance(screen, ConfirmScreen) and screen.plan is not None

        return await self.until(there, "the plan")

    async def confirm(self, reason: str = "", typed: str = "") -> Driver:
        """Wait for the plan, say why, type what must be typed, and run it."""
        await self.planned()
        if reason:
            await self.fill("reason", reason)
        if typed:
            await self.fill("typed", typed)
        await self.press("enter" if reason or typed else RUN)
        return await self.until(self._answered, "the answer to the confirmation")

    def _answered(self) -> bool:
        return not any(worker.group == "plan" and worker.is_running for worker in self.app.workers)

    async def fill(self, about: str, text: str) -> Driver:
        """Type into a line of the form."""
        field = next(field for field in self.app.screen.query(Field) if field.about == about)
        field.line.focus()
        await self.pilot.pause()
        return await self.type(text)

    async def turn(self, label: str) -> Driver:
        """Turn a switch of the form."""
        next(toggle for toggle in self.app.screen.query(Toggle) if label in toggle.label).focus()
        return await self.press("space")

    async def ended(self) -> Driver:
        """Wait until no operation runs."""
        return await self.until(lambda: not self.deck.dispatcher.running(), "the end of what runs")

    async def advance(self, **span: float) -> Driver:
        """Move the fleet's clock on."""
        await self.fleet.clock.advance(timedelta(**span))
        self.fleet_screen.tick()
        await self.pilot.pause()
        return self


@asynccontextmanager
async def at_the_desk(
    size: tuple[int, int] = (120, 40),
    *,
    fleet: Fleet | None = None,
    settings: Settings | None = None,
    read_only: bool = False,
) -> AsyncIterator[Driver]:
    """A dashboard over the lab fleet, open and listed."""
    chosen = settings or Settings()
    fleet = fleet or lab_fleet(read_only=read_only, settings=chosen)
    async with driving(fleet.open, chosen, size, fleet) as at:
        if fleet.lab.facts:
            await at.sees("a100-001")
        yield at


@asynccontextmanager
async def driving(
    open_deck: Callable[[], Awaitable[Deck]],
    settings: Settings,
    size: tuple[int, int],
    fleet: Fleet | None = None,
) -> AsyncIterator[Driver]:
    """A dashboard over any deck, with its fleet screen open."""
    app = QuarterdeckApp(open_deck, settings)
    async with app.run_test(size=size) as pilot:
        at = Driver(app, pilot, fleet)
        await at.until(lambda: isinstance(app.screen, FleetScreen), "the fleet screen")
        await pilot.pause()
        yield at
