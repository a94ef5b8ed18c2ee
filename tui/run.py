"""From what was asked to what does it, with errors turned into words and exit codes. Only here are they caught."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from fleet.errors import FleetError
from tui.__main__ import withdraw
from tui.choice import Choice, choose
from tui.exits import DONE, FAILED, USAGE, code_of
from tui.headless.words import tell
from tui.interrupts import leave_when_interrupted
from tui.settings import BadSettings, Settings, load
from tui.streams import at_a_terminal

if TYPE_CHECKING:
    from tui.deck import Deck

Headless = Callable[["Deck", argparse.Namespace], Awaitable[int]]


def run(asked: argparse.Namespace) -> int:
    """Do what was asked and return the exit code."""
    try:
        return _handed_over(_do(asked))
    except BadSettings as error:
        tell(f"quarterdeck: {error}")
        return USAGE
    except FleetError as error:
        tell(f"quarterdeck: {error}")
        return code_of(error)
    except BrokenPipeError:
        # Whoever read our output has gone; without this the interpreter complains while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        return FAILED


def _expect_a_terminal() -> None:
    if not at_a_terminal():
        says = (
            "the dashboard needs one; for scripts there are `quarterdeck nodes --json` and the other commands"
        )
        raise BadSettings("no terminal", "", says)


def _handed_over(code: int) -> int:
    """`code`, once what was printed has been taken: whoever read it may have gone."""
    sys.stdout.flush()
    return code


def _do(asked: argparse.Namespace) -> int:
    if asked.command == "sim":
        return _sim(asked)
    if asked.command == "xid":
        from tui.headless.xid import xid

        return xid(asked, _settings(asked))
    if asked.command == "drill" and asked.name == "list":
        from tui.headless.drill import show_list

        return show_list(json=asked.json)
    choice = choose(asked, _settings(asked))
    if asked.command in ("operations", "audit") or (asked.command == "gate" and asked.history):
        return asyncio.run(_history(choice, asked))
    if asked.command == "cancel":
        return asyncio.run(_cancel(choice, asked))
    if asked.command == "drill" and asked.report is not None:
        from tui.drill_report_file import check_report_file

        check_report_file(asked.report)
    if asked.command in (None, "demo"):
        return _dashboard(choice)
    if asked.command == "drill" and not asked.auto:
        return _drill(choice, asked)
    return asyncio.run(_headless(choice, asked))


def _settings(asked: argparse.Namespace) -> Settings:
    """The settings, with their keys looked at too: a mistake in the file ends every command. Raises BadSettings."""
    settings = load(asked.config)
    if settings.keys:
        from tui import keymap

        keymap.resolve(settings.keys, settings.file)
    return settings


def _dashboard(choice: Choice) -> int:
    """The dashboard, until it is left."""
    _expect_a_terminal()
    _quicken()
    from tui.app import QuarterdeckApp
    from tui.looks import fitted

    choice = fitted(choice)
    app = QuarterdeckApp(lambda: _open(choice), choice.settings, title=_title(choice))
    withdraw()
    app.run()
    if app.last_words:
        tell(f"quarterdeck: {app.last_words}")
    return app.return_code or DONE


def _drill(choice: Choice, asked: argparse.Namespace) -> int:
    """The dashboard with the coach beside it. The report is printed once the terminal is restored."""
    _expect_a_terminal()
    _quicken()
    from tui.app import QuarterdeckApp
    from tui.headless.drill import tell_report
    from tui.looks import fitted
    from tui.screens.drill import DrillHome

    choice = fitted(choice)
    assert choice.drill is not None
    home = DrillHome(choice.drill)
    app = QuarterdeckApp(lambda: _open(choice), choice.settings, title=_title(choice), home=home.screen)
    withdraw()
    app.run()
    if app.last_words:
        tell(f"quarterdeck: {app.last_words}")
    if home.report is not None:
        tell_report(home.report, asked.report, json=False)
    return app.return_code or DONE


def _quicken() -> None:
    """Set Python up for a dashboard, before Textual is imported.

    The collector is off until the fleet is known; threads that import and decode give way after 0.5 ms, not 5; a paint does not
    wait for a frame of 1/60 s.
    """
    gc.disable()
    sys.setswitchinterval(0.0005)
    os.environ.setdefault("TEXTUAL_FPS", "240")


async def _open(choice: Choice) -> Deck:
    """The deck, with the wiring and all it stands on imported beside the first frame."""
    open_deck = await asyncio.to_thread(_opener)
    return await open_deck(choice)


def _opener() -> Callable[[Choice], Awaitable[Deck]]:
    from tui.wiring import open_deck

    return partial(open_deck, remembers=True)


async def _headless(choice: Choice, asked: argparse.Namespace) -> int:
    from tui.wiring import open_deck

    leave_when_interrupted()
    if choice.unasked:
        raise BadSettings(
            "no cluster",
            "",
            "none is configured: name one with --kubeconfig or --context; `quarterdeck sim` serves a simulated one",
        )
    deck = await open_deck(choice)
    from tui.headless.verbs import looks_at_named_nodes

    following = None if looks_at_named_nodes(asked, deck) else asyncio.ensure_future(deck.follow())
    try:
        return await _command(asked.command)(deck, asked)
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await deck.close()


def _command(name: str) -> Headless:
    from tui.headless import doctor, drift, drill, listing, past, verbs

    commands: dict[str, Headless] = {
        "nodes": listing.nodes,
        "plan": verbs.plan,
        "run": verbs.run,
        "gate": verbs.gate,
        "provision": verbs.provision,
        "resume": verbs.resume,
        "cancel": verbs.cancel,
        "timeline": past.timeline,
        "drift": drift.drift,
        "doctor": doctor.doctor,
        "drill": drill.auto,
    }
    return commands[name]


async def _history(choice: Choice, asked: argparse.Namespace) -> int:
    from tui.headless.history import audit, operations, verdicts
    from tui.wiring import open_journal

    leave_when_interrupted()
    journal = open_journal(choice)
    try:
        tellers = {"operations": operations, "audit": audit, "gate": verdicts}
        return await tellers[asked.command](journal, asked)
    finally:
        await journal.close()


async def _cancel(choice: Choice, asked: argparse.Namespace) -> int:
    """Ask the program that runs the operation. Where that is gone there is nobody to ask, and it takes the clusters to end it."""
    from fleet.cancel_requests import cut_off
    from tui.headless.cancelling import cancel
    from tui.who import owner
    from tui.wiring import SystemClock, open_journal

    leave_when_interrupted()
    journal = open_journal(choice)
    try:
        read_only = choice.settings.policy.read_only
        if read_only or await cut_off(journal, asked.operation) is None:
            return await cancel(journal, asked, by=owner(), clock=SystemClock(), read_only=read_only)
    finally:
        await journal.close()
    return await _headless(choice, asked)


def _sim(asked: argparse.Namespace) -> int:
    from tui.headless.sim import sim

    return asyncio.run(sim(asked))


def _title(choice: Choice) -> str:
    if choice.demo is not None:
        return "demo"
    if choice.settings.nvml:
        return "this host"
    slurm = ("Slurm",) if choice.settings.slurm.use else ()
    return ", ".join((*choice.settings.kubernetes.contexts, *slurm)) or "current context"
