"""timeline: what happened to one node, as a table, as JSON, or as Markdown for the incident note."""

from __future__ import annotations

import argparse
import difflib
from datetime import UTC, tzinfo

from fleet.text import clean
from fleet.timeline import Entry, Timeline
from fleet.timeline_markdown import markdown_of, when, zone_of
from tui.deck import Deck
from tui.exits import DONE, UNREACHABLE, USAGE
from tui.headless.listing import KNOWN_WITHIN, feed_words, silent_sources
from tui.headless.shapes import Shape, put
from tui.headless.verbs import key_of
from tui.headless.words import table, tell
from tui.past import read_timeline

_NEAREST = 3
_LONGEST = 253  # characters of a node's name in Kubernetes

HEAD = ("TIME", "KIND", "WHAT", "BY", "SOURCE", "OPERATION")


async def timeline(deck: Deck, asked: argparse.Namespace) -> int:
    """`timeline NODE`. Exit 2 for a node that nobody knows anything of, 4 where its source can't be read and nobody else does."""
    await deck.known(KNOWN_WITHIN)
    failed = silent_sources(deck)
    for state in deck.store.feed_states():
        if state.name == "nodes" and any(state.source == feed.source for feed in failed):
            tell(feed_words(state))
    if not failed:
        await deck.known(KNOWN_WITHIN, {feed.name for feed in deck.feeds})
        await deck.metrics_joined()
    key = key_of(deck, asked.node)
    found = await read_timeline(deck, key, asked.since)
    row = deck.store.record(key)
    if row is None and not found.entries:
        if failed:
            tell(
                f"{clean(key.name)}: nothing is remembered of such a node, and whether there is one can't be told"
            )
            return UNREACHABLE
        unread = [why for why in found.silent if why.startswith("journal: ")]
        for why in unread:
            tell(f"not read: {why}")
        tell(_nobody(deck, key.name, remembered="" if unread else ", and nothing is remembered of one"))
        return USAGE
    for why in found.silent:
        tell(f"not read: {why}")
    zone = local_zone(deck) if asked.local else UTC
    if asked.json:
        put(timeline_shape(found))
    elif asked.markdown:
        category = row.node.category if row is not None else ""
        oldest_first = not asked.newest_first
        text = markdown_of(found, zone, oldest_first=oldest_first, by=deck.by, category=category)
        print(text, end="")  # noqa: T201 - the note is what was asked for
    else:
        entries = found.entries if asked.newest_first else found.oldest_first
        for line in table(
            (f"TIME ({zone_of(found.until, zone)})", *HEAD[1:]), [_words(entry, zone) for entry in entries]
        ):
            print(line)  # noqa: T201 - the table is what was asked for
    return DONE


def _nobody(deck: Deck, name: str, remembered: str) -> str:
    """That no node has the name, with those that look like it."""
    names = sorted({row.node.key.name for row in deck.store.rows()})
    near = difflib.get_close_matches(name[:_LONGEST], names, _NEAREST)
    hint = f"did you mean {', '.join(near)}?" if near else "quarterdeck nodes lists them all"
    return clean(f"there is no node {name[:_LONGEST]}{remembered}; {hint}")


def local_zone(deck: Deck) -> tzinfo:
    """This machine's own time zone."""
    return deck.clock.now().astimezone().tzinfo or UTC


def _words(entry: Entry, zone: tzinfo) -> tuple[str, ...]:
    return (when(entry, zone), entry.kind.value, entry.says, entry.by, entry.source, entry.operation)


def timeline_shape(found: Timeline) -> Shape:
    """What `timeline --json` prints: newest first, what has no time before all others."""
    return {
        "node": found.node.name,
        "source": found.node.source,
        "since": found.since.isoformat() if found.since is not None else None,
        "until": found.until.isoformat(),
        "not_read": list(found.silent),
        "entries": [
            {
                "at": entry.at.isoformat() if entry.at is not None else None,
                "within_seconds": entry.within.total_seconds() or None,
                "kind": entry.kind.value,
                "says": entry.says,
                "by": entry.by or None,
                "source": entry.source,
                "weight": entry.weight.value,
                "operation": entry.operation or None,
            }
            for entry in found.entries
        ],
    }
