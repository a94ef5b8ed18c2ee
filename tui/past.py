"""Gathers a node's timeline: what it shows, what was seen, the journal, and whoever else can tell. What fails becomes a text."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleet.errors import FleetError
from fleet.journal_past import told_by_journal
from fleet.node import Node, NodeKey
from fleet.node_past import told_by_row
from fleet.offenders import trail_of
from fleet.ports import Chronicler
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
    row = deck.store.record(node)
    entries: list[Entry] = [*deck.sightings.of(node), *(told_by_row(row) if row is not None else ())]
    silent: list[str] = []
    try:
        entries += told_by_journal(await deck.journal.of_node(node, since), node)
    except FleetError as error:
        silent.append(f"journal: {error}")
    if row is None:
        silent.append(f"{node.source}: the node is not there now; only what is remembered of it is told")
    else:
        asked = (_told(chronicler, row.node, since, now) for chronicler in deck.chroniclers)
        for told, why in await asyncio.gather(*asked):
            entries += told
            silent += [why] if why else []
    return timeline(node, entries, now, since=since, silent=silent)


def known_now(deck: Deck, node: NodeKey) -> tuple[Entry, ...]:
    """What can be told without asking anybody, newest first."""
    row = deck.store.record(node)
    told = [*deck.sightings.of(node), *(told_by_row(row) if row is not None else ())]
    return timeline(node, told, deck.clock.now()).entries


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


async def read_lately(deck: Deck, node: NodeKey, most: int = LATEST) -> Lately:
    """From what is known here and the journal; nobody else is asked."""
    now = deck.clock.now()
    try:
        records = await deck.journal.of_node(node, now - MONTH)
    except FleetError:
        records = ()
    told = [*known_now(deck, node), *told_by_journal(records, node)]
    entries = timeline(node, told, now).entries
    return Lately(entries[:most], record_of(deck, trail_of(records), node))
