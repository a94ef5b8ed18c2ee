"""Sorting, filtering and folding a whole fleet: what the data costs, and from the key to the paint."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from statistics import median

from benchmarks.figures import Figure, Size, milliseconds
from benchmarks.made_up import EPOCH, fleet
from benchmarks.terminal import Terminal, python
from fleet.selection import EVERYTHING, parse
from fleet.sorting import WORST_FIRST, Column, Sort
from fleet.view import FleetView

_ANY_PAINT = b"\x1b["
"""Nothing else moves in this table."""


def order(size: Size) -> Iterator[Figure]:
    """Sort, filter and regroup: data alone, against a plain sort of as many numbers; and key to paint in the table."""
    store = fleet(size.nodes)
    gc.freeze()  # as the dashboard does once the fleet is known
    view = FleetView(store, EPOCH, sort=WORST_FIRST)
    numbers = [row.telemetry.gpu_temp_max or 0 for row in store.rows() if row.telemetry is not None]
    floor = milliseconds(lambda: sorted(numbers), size.repeats * 3)
    chosen = parse("category=h100 gpu_temp>60")
    changes: tuple[tuple[str, Callable[[], object]], ...] = (
        ("sort by what is wrong", lambda: view.arrange(EPOCH, sort=WORST_FIRST)),
        ("sort by temperature", lambda: view.arrange(EPOCH, sort=Sort.by(Column.GPU_TEMP))),
        ("filter", lambda: view.arrange(EPOCH, selection=chosen)),
        ("lift the filter", lambda: view.arrange(EPOCH, selection=EVERYTHING)),
        ("fold all", lambda: view.fold_all(1)),
        ("unfold all", lambda: view.unfold(view.folded)),
    )
    n = size.repeats * 3
    for name, change in changes:
        yield Figure(f"{name}, {size.nodes:,} nodes, data", milliseconds(change, n), "ms", n, floor=floor)
    table = python("-m", "benchmarks.table_app", "ours", f"--nodes={size.nodes}")
    with Terminal(table) as terminal:
        terminal.until(b"-00")
        terminal.idle(1)
        for key, name in ((b"o", "sort"), (b"f", "filter or lift it"), (b"z", "fold or unfold")):
            taken = []
            for _ in range(n):
                taken.append(terminal.answer(key, _ANY_PAINT) * 1000)
                terminal.idle(0.1)
            yield Figure(f"{name}, {size.nodes:,} nodes, key to paint", median(taken), "ms", n)
