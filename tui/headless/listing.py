"""nodes: the fleet as a list, all of it or what a selection picks."""

from __future__ import annotations

import argparse
from datetime import timedelta

from fleet.feeds import FeedHealth, FeedState
from fleet.row import FleetRow
from fleet.selection import SelectionError, parse
from fleet.store import FeedKey
from fleet.telemetry_feed import FEED as GPU
from tui.deck import Deck
from tui.exits import DONE, UNREACHABLE, USAGE
from tui.headless.shapes import node_shape, put
from tui.headless.words import NODE_HEAD, node_words, table, tell

KNOWN_WITHIN = timedelta(seconds=65)
"""A little more than a list may take, so that one that fails can say why."""


async def nodes(deck: Deck, asked: argparse.Namespace) -> int:
    """`nodes [SELECTION]`. Where no source can be listed it is exit 4 and no list: never an empty fleet. A part says so."""
    try:
        selection = parse(" ".join(asked.selection))
    except SelectionError as error:
        tell(str(error))
        for line in error.caret().splitlines():
            tell(line)
        return USAGE
    await deck.known(KNOWN_WITHIN)
    if not all_silent(deck):
        await deck.known(KNOWN_WITHIN, {feed.name for feed in deck.feeds})
    failed = [state for state in deck.store.feed_states() if state.health is not FeedHealth.LIVE]
    for state in failed:
        tell(feed_words(state))
    if all_silent(deck):
        return UNREACHABLE
    if silent := silent_sources(deck):
        names = ", ".join(sorted(feed.source for feed in silent))
        tell(f"this is a part of the fleet: the nodes of {names} are not known")
    if all(state.name != GPU for state in failed):
        await deck.metrics_joined()
    rows = sorted((row for row in deck.store.rows() if row.shown and selection.matches(row)), key=_order)
    if asked.json:
        put([node_shape(row) for row in rows])
        return DONE
    now = deck.clock.now()
    for line in table(NODE_HEAD, [node_words(row, now, deck.policy) for row in rows]):
        print(line)  # noqa: T201 - the table is what was asked for
    return DONE


def all_silent(deck: Deck) -> bool:
    """Whether no source's nodes are known."""
    return silent_sources(deck) == {feed for feed in deck.feeds if feed.name == "nodes"}


def silent_sources(deck: Deck) -> set[FeedKey]:
    """Sources whose nodes are not known."""
    live = {
        FeedKey(state.source, state.name)
        for state in deck.store.feed_states()
        if state.health is FeedHealth.LIVE
    }
    return {feed for feed in deck.feeds if feed.name == "nodes"} - live


def feed_words(state: FeedState) -> str:
    """One feed that is not live: which, how it is, and why."""
    if state.health is FeedHealth.STARTING:
        return f"{state.source}/{state.name} has not answered"
    return f"{state.source}/{state.name} is {state.health.value}" + (f": {state.why}" if state.why else "")


def _order(row: FleetRow) -> tuple[str, str, str]:
    return (row.node.category, row.node.image.running or "", row.order)
