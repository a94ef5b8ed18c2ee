"""The longest time for which the event loop does not turn while a fleet is loaded, as felt inside the program."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from benchmarks.figures import Figure, Size
from benchmarks.fleets import Fleet, on_screen, own_folders, served
from benchmarks.terminal import Terminal, python

_PULSE = 0.002
_AFTER = 2.0


def blocking(size: Size) -> Iterator[Figure]:
    """The longest gap in a pulse of 2 ms on the loop, against that of a process that only sleeps beside it."""
    with served(size.nodes, pods=size.pods) as fleet:
        _load(fleet, size.nodes)
        both = [_load(fleet, size.nodes) for _ in range(size.repeats)]
    yield Figure(
        f"longest block of the loop while {size.nodes:,} nodes load",
        median(gap for gap, _ in both),
        "ms",
        size.repeats,
        floor=median(idle for _, idle in both),
        note="floor: how late a process that only sleeps is woken meanwhile",
    )


def _load(fleet: Fleet, nodes: int) -> tuple[float, float]:
    found = fleet.folder / "gaps"
    command = python("-m", "benchmarks.probe", str(found), "--kubeconfig", str(fleet.kubeconfig))
    with _lateness() as late, Terminal(command, own_folders(fleet.folder)) as terminal:
        terminal.until(*on_screen(nodes))
        terminal.idle(_AFTER)
    return max(gap for _, gap in json.loads(Path(found).read_text())), max(late)


@contextmanager
def _lateness() -> Iterator[list[float]]:
    """Milliseconds by which a thread that only sleeps is woken too late, while the block lasts."""
    late, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.is_set():
            before = perf_counter()
            sleep(_PULSE)
            late.append((perf_counter() - before - _PULSE) * 1000)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield late
    finally:
        ended.set()
        thread.join()
