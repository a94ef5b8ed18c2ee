"""Gathers a node's timeline: what it shows, what was seen, the journal, and whoever else can tell. What fails becomes a text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fleet.errors import FleetError
from fleet.health import GateRecord
from fleet.journal_past import last_verdict, told_by_journal
from fleet.node import Node, NodeKey
from fleet.node_past import NODE, told_by_row
from fleet.offenders import Trail, trail_of
from fleet.operation import OperationState
from fleet.ports import Chronicler
from fleet.sightings import SEEN
from fleet.timeline import Entry, Timeline, timeline
from tui.comparing import record_of
from tui.deck import Deck

WEEK = timedelta(days=7)
DAY = timedelta(days=1)
MONTH = timedelta(days=30)
LATEST = 5
"""Lines of a timeline that the node pane has room for."""


async def read_timeline(deck: Deck, node: NodeKey, span: timedelta = WEEK) -> Timeline:
    """The node's timeline over the last `span`, from every source; those that could not be read are named in it."""
    now = deck.clock.now()
    since = now - span
    entries: list[Entry] = list(_here(deck, node))
    silent: dict[str, None] = {}
    if node not in deck.store:
        silent[f"{node.source}: the node is not there now; only what is remembered of it is told"] = None
    sides = _sides(deck, node)
    for side in sides:
        try:
            entries += told_by_journal(await deck.journal.of_node(side, since), side, await _running(deck))
        except FleetError as error:
            silent[f"journal: {error}"] = None
        row = deck.store.record(side)
        chroniclers = deck.chroniclers if row is not None else ()
        asked = [_told(chronicler, row.node, since, now) for chronicler in chroniclers if row is not None]
        for told, why in await asyncio.gather(*asked):
            entries += told
            silent.update({why: None} if why else {})
    return timeline(node, entries, now, since=since, silent=silent)


def known_now(deck: Deck, node: NodeKey) -> tuple[Entry, ...]:
    """What can be told without asking anybody, newest first."""
    return timeline(node, _here(deck, node), deck.clock.now()).entries


def _sides(deck: Deck, node: NodeKey) -> tuple[NodeKey, ...]:
    """The node, and the other side of its machine where it has one."""
    row = deck.store.record(node)
    twin = row.twin if row is not None else None
    return (node,) if twin is None else (node, twin.key)


def _here(deck: Deck, node: NodeKey) -> Iterator[Entry]:
    """What both sides show and what was seen of them; of two sides each line says which."""
    sides = _sides(deck, node)
    for side in sides:
        row = deck.store.record(side)
        for entry in (*deck.sightings.of(side), *(told_by_row(row) if row is not None else ())):
            named = len(sides) > 1 and entry.source in (NODE, SEEN)
            yield replace(entry, source=f"{entry.source}, {side.source}") if named else entry


async def _running(deck: Deck) -> set[str]:
    """The operations that this program runs, or another one of this journal."""
    here = {run.operation.id for run in deck.dispatcher.running()}
    left = await deck.journal.unfinished()
    return here | {each.id for each in left if each.state is OperationState.RUNNING}


async def _told(
    chronicler: Chronicler, node: Node, since: datetime, until: datetime
) -> tuple[Sequence[Entry], str]:
    try:
        return await chronicler.past(node, since, until), ""
    except FleetError as error:
        return (), f"{chronicler.name}: {error}"


@dataclass(frozen=True, slots=True)
class Lately:
    """The last few lines of a node's timeline, and what it did within a month: what the node pane shows of it."""

    entries: tuple[Entry, ...] = ()
    record: str = ""
    judged: GateRecord | None = None  # its last verdict, whole, where this journal has it


async def read_lately(deck: Deck, node: NodeKey, most: int = LATEST) -> Lately:
    """From what is known here and the journal; nobody else is asked."""
    now = deck.clock.now()
    told, trail, judged = list(_here(deck, node)), Trail({}), None
    try:
        for side in _sides(deck, node):
            records = await deck.journal.of_node(side, now - MONTH)
            told += told_by_journal(records, side, await _running(deck))
            trail = trail_of(records) if side == node else trail
            judged = last_verdict(records) if side == node else judged
    except FleetError:
        pass  # the timeline itself says why; the pane shows what is known here
    entries = timeline(node, told, now).entries
    return Lately(entries[:most], record_of(deck, trail, node), judged)
