"""drill list, and drill --auto: a walk without a terminal, for a cluster's CI, with the exit code that says what was observed."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from fleet.drill_report import DrillReport, Ending, shape_of_report, text_of_report
from fleet.drill_standing import Phase
from fleet.drill_walk import DrillWalk
from tui.deck import Deck
from tui.drill_file import load_drill, packaged
from tui.drill_report_file import write_report
from tui.exits import DONE, FAILED, code_of
from tui.headless.shapes import put
from tui.headless.words import tell
from tui.walks import begin_walk


def show_list(*, json: bool) -> int:
    """`drill list`: the drills that come with the program."""
    drills = [load_drill(name) for name in packaged()]
    if json:
        put([{"name": drill.name, "title": drill.title, "says": drill.says} for drill in drills])
    else:
        for drill in drills:
            sys.stdout.write(f"{drill.name:<12}  {drill.title}. {drill.says}\n")
    return DONE


async def auto(deck: Deck, asked: argparse.Namespace) -> int:
    """`drill NAME --auto`: exit 0 only when every checkpoint was observed and nothing is left."""
    teller = _Teller()
    walk = begin_walk(deck, load_drill(asked.name), teller.changed, lambda run: "auto")
    teller.walk = walk
    tell(f"{walk.drill.title}: node {walk.node.name}, namespace {walk.fill('{namespace}')}, on {deck.title}")
    walking = asyncio.ensure_future(walk.alone())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, walking.cancel)
    try:
        await asyncio.wait([walking])
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _still_cleaning)
        report = await walk.leave()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    if not walking.cancelled():
        walking.result()
    tell_report(report, asked.report, json=asked.json)
    return code_of_walk(walk, report)


def tell_report(report: DrillReport, file: Path | None, *, json: bool) -> None:
    """Print the report, and write it where that was asked."""
    if json:
        put(shape_of_report(report))
    else:
        sys.stdout.write("\n".join(text_of_report(report)) + "\n")
    if file is not None:
        write_report(report, file)
        tell(f"the report is in {file}")


def code_of_walk(walk: DrillWalk, report: DrillReport) -> int:
    """The exit code: that of the error which stuck it, else whether all was observed and nothing is left."""
    if report.ending is Ending.STUCK and walk.error is not None:
        return code_of(walk.error)
    return DONE if report.observed and not report.left else FAILED


def _still_cleaning() -> None:
    tell("still removing what the drill made; what is left after a kill the next drill removes")


class _Teller:
    """Says each step as it begins and as its checkpoint was observed, once."""

    def __init__(self) -> None:
        self.walk: DrillWalk | None = None
        self._told = ""
        self._checkpoints = 0

    def changed(self) -> None:
        walk = self.walk
        if walk is None:
            return
        for checkpoint in walk.checkpoints[self._checkpoints :]:
            for line in checkpoint.evidence:
                tell(f"  {'observed' if checkpoint.observed else 'NOT observed'}: {line}")
        self._checkpoints = len(walk.checkpoints)
        line = f"stage {walk.drill.stages.index(walk.stage) + 1} of {len(walk.drill.stages)}, {walk.stage.title}: {walk.step.title}"
        if walk.at.phase is Phase.LEAVES:
            line = walk.at.doing
        if line != self._told and walk.at.phase not in (Phase.OPENS, Phase.OVER):
            self._told = line
            tell(line)
