"""The application: paints a first frame at once, opens the deck behind it, and hands everything that happens to the screens.

It fetches nothing and decides nothing. A bug ends it with exit code 1 and a traceback, after the terminal is restored.
The screens are imported where they are first wanted: a first frame does not wait for them.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.filter import LineFilter

from fleet.errors import FleetError
from tui import commands, exits, keymap, themes
from tui.ascii_only import AsciiOnly
from tui.messages import Asked, FleetChanged, RunsChanged
from tui.pump import Pump
from tui.screens.starting import StartingScreen
from tui.settings import BadSettings, Settings

if TYPE_CHECKING:
    from tui.deck import Deck
    from tui.screens.base import DeckScreen
    from tui.session import Session
    from widgets.columns import Column

SETTLED = timedelta(minutes=1)
"""After which what was made at the start is there for good, heard of or not."""

THRESHOLDS = (50_000, 100, 100)
"""When the collector looks: what a fleet's changes leave behind is freed without it, and a large refresh is no garbage."""

STYLES = Path(__file__).parent / "styles"


class QuarterdeckApp(App[None]):
    """The dashboard over a deck that `open_deck` opens once the first frame is painted.

    Raises BadSettings at once where the settings name a command or key that can't be.
    """

    TITLE = "quarterdeck"
    CSS_PATH = STYLES / "quarterdeck.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "leave", "Quit", show=False, priority=True, system=True),
        Binding(commands.HELP.keys, "help", show=False, id=commands.HELP.id),
        Binding(commands.PALETTE.keys, "palette", show=False, id=commands.PALETTE.id),
    ]

    def __init__(
        self,
        open_deck: Callable[[], Awaitable[Deck]],
        settings: Settings,
        title: str = "quarterdeck",
        home: Callable[[Session], DeckScreen[None]] | None = None,
    ) -> None:
        self._open_deck = open_deck
        self._home = home
        self._settings = settings
        self._keys: Mapping[str, str] = keymap.resolve(settings.keys, settings.file)
        self._columns = columns_of(settings)
        self._ascii = AsciiOnly()
        self._deck: Deck | None = None
        self.session: Session | None = None
        self.last_words = ""
        super().__init__()
        self.title = title
        for theme in themes.ALL:
            self.register_theme(theme)
        self.theme = settings.theme or themes.ALL[0].name
        rebound = {*commands.BOUND_BY_WIDGETS, *settings.keys}
        self.set_keymap({name: keys for name, keys in self._keys.items() if name in rebound})
        self._fleet_pump = Pump(lambda: self._tell(FleetChanged()))
        self._runs_pump = Pump(lambda: self._tell(RunsChanged()))

    def on_mount(self) -> None:
        starting = StartingScreen(self.title)
        self.push_screen(starting)
        starting.call_after_refresh(self.open_up)

    @work(group="deck", exclusive=True)
    async def open_up(self) -> None:
        """Open the deck, and follow the fleet until the program ends."""
        screens = asyncio.create_task(asyncio.to_thread(importlib.import_module, "tui.screens.fleet"))
        try:
            deck = await self._open_deck()
        except BadSettings as error:
            self.give_up(str(error), exits.USAGE)
            return
        except FleetError as error:
            self.give_up(str(error), exits.code_of(error))
            return
        await screens
        from tui.screens.fleet import FleetScreen
        from tui.session import Session
        from widgets.columns import DEFAULT_COLUMNS

        self._deck = deck
        deck.on_fleet(self._fleet_pump.hear)
        deck.on_run(lambda run: self._runs_pump.hear())
        self.session = Session(deck, self._keys, self.theme, self._columns or DEFAULT_COLUMNS)
        await self.switch_screen((self._home or FleetScreen)(self.session))
        self.run_worker(tidy_once_known(deck), group="tidying")
        await deck.follow()

    def give_up(self, why: str, code: int) -> None:
        """End with an exit code, and say why once the terminal is restored."""
        self.last_words = why
        self.exit(return_code=code)

    def _tell(self, message: FleetChanged | RunsChanged) -> None:
        for screen in self.screen_stack:
            screen.post_message(type(message)())

    def watch_theme(self, theme: str) -> None:
        self.set_class(theme == themes.ASCII_NAME, "-ascii")
        if self.session is not None:
            self.session.theme = theme

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return [*filters, self._ascii] if self.theme == themes.ASCII_NAME else filters

    def action_leave(self) -> None:
        """Ctrl+C asks as the quit key does."""
        from tui.screens.fleet import FleetScreen

        if isinstance(self.screen, FleetScreen):
            self.screen.do(commands.QUIT)
        elif self.session is None:
            self.exit()

    def action_help(self) -> None:
        from tui.screens.help import HelpScreen

        if self.session is not None and not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.session))

    def action_palette(self) -> None:
        from textual.command import CommandPalette

        from tui.palette import CommandsProvider
        from tui.screens.base import DeckScreen

        if isinstance(self.screen, DeckScreen):
            self.push_screen(CommandPalette(providers=[CommandsProvider], placeholder="a command"))

    def action_drill(self) -> None:
        """Ask which drill, and walk it over this very fleet."""
        from tui.screens.drill import choose_drill

        if self.session is not None:
            choose_drill(self, self.session)

    def on_asked(self, message: Asked) -> None:
        """A command of the whole program, clicked or chosen."""
        {
            commands.HELP.id: self.action_help,
            commands.PALETTE.id: self.action_palette,
            commands.DRILL.id: self.action_drill,
        }[message.command]()

    async def on_unmount(self) -> None:
        self._fleet_pump.stop()
        self._runs_pump.stop()
        if self._deck is not None:
            await self._deck.close()


async def tidy_once_known(deck: Deck) -> None:
    """Turn the collector on again where the start turned it off, with what lives for good out of its way.

    Once the lists are in, and without a last collection: at 10,000 nodes that held the screen for 240 ms.
    """
    await deck.known(SETTLED, ("nodes", "pods"))
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        gc.enable()


def columns_of(settings: Settings) -> tuple[Column, ...]:
    """The columns that the settings name, empty for the usual ones. Raises BadSettings for one that is not there."""
    if not settings.columns:
        return ()
    from widgets.columns import Column  # the table's own modules, which the first frame does not wait for

    known = {column.value: column for column in Column}
    for name in settings.columns:
        if name not in known:
            says = f"there is no column {name!r}; known are {', '.join(known)}"
            raise BadSettings(settings.file or Path("settings"), "columns", says)
    return tuple(known[name] for name in settings.columns)
