"""From a key to the bytes it paints, at any size of fleet, while the fleet changes and while it does not."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from statistics import median

from benchmarks.figures import Figure, Size, percentile
from benchmarks.fleets import on_screen, served
from benchmarks.terminal import Terminal, python

_ARROWS = (b"\x1b[B", b"\x1b[A")
_PAGES = (b"\x1b[6~", b"\x1b[5~")
_RUN = 12
"""So many times one way and then back, so that no end of a table is met."""
_RATE = 1_000
_OUR_CURSOR = "▌".encode()
_THEIR_CURSOR = b"48;2;1;120;212"
"""The ground of DataTable's cursor. Its updates repaint that row too, so that it comes off better than it does."""


def keys(size: Size) -> Iterator[Figure]:
    """Key to paint: our table and DataTable with the same rows, and the whole program on a served fleet."""
    for rate in (0, _RATE):
        with _table("theirs", size.nodes, rate) as terminal:
            theirs = _presses(terminal, _ARROWS, size.keys // 3, _THEIR_CURSOR)
        with _table("ours", size.nodes, rate) as terminal:
            yield from _told(f"{size.nodes:,} rows, {rate} updates/s", terminal, size, theirs)
    if size.wide:
        with _table("ours", 5 * size.nodes, _RATE) as terminal:
            yield from _told(f"{5 * size.nodes:,} rows, {_RATE} updates/s", terminal, size, None)
    with served(size.nodes) as fleet, fleet.dashboard() as terminal:
        terminal.until(*on_screen(size.nodes))
        terminal.idle(3)
        for rate in (0, _RATE):
            fleet.change(rate)
            terminal.idle(2)
            yield from _told(f"the dashboard, {size.nodes:,} nodes, {rate} changes/s", terminal, size, None)


def _told(about: str, terminal: Terminal, size: Size, theirs: list[float] | None) -> Iterator[Figure]:
    for there_and_back, name in ((_ARROWS, "arrow"), (_PAGES, "page")):
        taken = _presses(terminal, there_and_back, size.keys)
        peers: tuple[float | None, float | None] = (None, None)
        if theirs is not None and there_and_back is _ARROWS:
            peers = median(theirs), percentile(theirs, 99)
        for value, share, peer in (
            (median(taken), "p50", peers[0]),
            (percentile(taken, 99), "p99", peers[1]),
        ):
            yield Figure(f"key to paint, {name} {share}, {about}", value, "ms", len(taken), peer=peer)


def _table(which: str, nodes: int, rate: int) -> Terminal:
    terminal = Terminal(python("-m", "benchmarks.table_app", which, f"--nodes={nodes}", f"--rate={rate}"))
    terminal.until(b"-00", patience=120)
    terminal.idle(1.5)
    return terminal


def _presses(
    terminal: Terminal, there_and_back: tuple[bytes, bytes], times: int, cursor: bytes = _OUR_CURSOR
) -> list[float]:
    """Milliseconds from each of so many keys, at odd moments, to the paint of the cursor's row."""
    chance, taken = Random(3), list[float]()
    for turn in range(times):
        terminal.idle(0.02 + chance.random() * 0.08)
        taken.append(terminal.answer(there_and_back[turn // _RUN % 2], cursor) * 1000)
    return taken
