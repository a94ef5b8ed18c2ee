"""drift: which nodes run other versions than their category should, and who fails again and again."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from fleet.drift import DriftCell, Matrix
from fleet.feeds import FeedHealth
from fleet.offenders import Offences
from fleet.selection import SelectionError, parse
from tui.comparing import Told, compare, count, read_told
from tui.deck import Deck
from tui.exits import DONE, FAILED, UNREACHABLE, USAGE
from tui.headless.listing import KNOWN_WITHIN, feed_words, silent_sources
from tui.headless.shapes import Shape, put
from tui.headless.words import counted, table, tell

NAMED = 5
"""So many of the nodes with one value are named in the table; JSON names all."""


async def drift(deck: Deck, asked: argparse.Namespace) -> int:
    """`drift [SELECTION]`: exit 1 where a node is odd, as diff does; unknown is no difference. 4 where a source can't be listed."""
    try:
        selection = parse(" ".join(asked.selection))
    except SelectionError as error:
        tell(str(error))
        for line in error.caret().splitlines():
            tell(line)
        return USAGE
    await deck.known(KNOWN_WITHIN)
    if silent_sources(deck):
        for state in deck.store.feed_states():
            if state.health is not FeedHealth.LIVE:
                tell(feed_words(state))
        return UNREACHABLE
    await deck.known(KNOWN_WITHIN, {feed.name for feed in deck.feeds})
    await deck.metrics_joined()
    told = await read_told(deck)
    rows = [row for row in deck.store.rows() if selection.matches(row)]
    matrix, named = compare(deck, told, rows), count(deck, told, rows)
    if asked.json:
        put(drift_shape(matrix, named, told))
    else:
        _print(matrix, named, told)
    return FAILED if matrix.odd else DONE


def _print(matrix: Matrix, named: tuple[Offences, ...], told: Told) -> None:
    lines = table(
        ("CATEGORY", "NODES", "WHAT", "EXPECTED", "SAID BY", "ODD OR UNKNOWN"), list(_words(matrix))
    )
    for line in lines:
        print(line)  # noqa: T201 - the table is what was asked for
    if named:
        print("\nREPEAT OFFENDERS, 30 DAYS")  # noqa: T201 - as above
    for each in named:
        last = f", last {each.last:%Y-%m-%d %H:%M} UTC" if each.last is not None else ""
        print(f"{each.node.name}: {each.says}{last}")  # noqa: T201 - as above
    if matrix.unknown and matrix.rows:
        tell(f"nobody tells: {', '.join(aspect.value for aspect in matrix.unknown)}")
    for why in told.silent:
        tell(f"not read: {why}")
    tell(f"{counted(matrix.odd, 'node')} odd")


def _words(matrix: Matrix) -> Iterator[tuple[str, ...]]:
    for row in matrix.rows:
        for cell in row.cells:
            who = "the category" if cell.declared else _majority(cell, row.nodes)
            expected = cell.expected or ("?" if not cell.known else "(none leads)")
            yield (
                row.category or "?",
                str(row.nodes),
                cell.aspect.value,
                expected,
                who,
                "; ".join(_others(cell)) or "-",
            )


def _majority(cell: DriftCell, nodes: int) -> str:
    most = next((len(share.nodes) for share in cell.shares if share.expected), 0)
    return f"{most} of {nodes}" if most else "-"


def _others(cell: DriftCell) -> Iterator[str]:
    for share in cell.shares:
        if not share.expected:
            names = ", ".join(node.name for node in share.nodes[:NAMED])
            more = f" and {len(share.nodes) - NAMED} more" if len(share.nodes) > NAMED else ""
            yield f"{share.value or '?'} on {len(share.nodes)}: {names}{more}"


def drift_shape(matrix: Matrix, named: tuple[Offences, ...], told: Told) -> Shape:
    """What `drift --json` prints."""
    return {
        "odd_nodes": matrix.odd,
        "categories": [
            {
                "category": row.category or None,
                "nodes": row.nodes,
                "aspects": [
                    {
                        "aspect": cell.aspect.value,
                        "expected": cell.expected or None,
                        "declared": cell.declared,
                        "values": [
                            {
                                "value": share.value or None,
                                "odd": share.odd,
                                "count": len(share.nodes),
                                "nodes": None if share.expected else [node.name for node in share.nodes],
                            }
                            for share in cell.shares
                        ],
                    }
                    for cell in row.cells
                ],
            }
            for row in matrix.rows
        ],
        "untold": [aspect.value for aspect in matrix.unknown],
        "offenders": [
            {
                "node": each.node.name,
                "source": each.node.source,
                "failed_gates": each.failed_gates,
                "xids": each.xids,
                "drains": each.drains,
                "reimages": each.reimages,
                "closed_by_others": each.closed,
                "last": each.last.isoformat() if each.last is not None else None,
            }
            for each in named
        ],
        "not_read": list(told.silent),
    }
