"""What the program costs while nobody touches it: processor and memory."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from benchmarks.bare_app import WORD
from benchmarks.figures import Figure, Size
from benchmarks.fleets import Fleet, on_screen, served
from benchmarks.terminal import Terminal, python

_RATE = 1_000
_SETTLING = 8.0
"""Seconds: pods are in and the collector is on again."""
_BARE_WITH_CLIENT = (
    "from backends.kubernetes.transport import load; load();"
    "import runpy; runpy.run_module('benchmarks.bare_app', run_name='__main__')"
)


def cost(size: Size) -> Iterator[Figure]:
    """Processor use idle and under changes; resident memory against a bare app that has loaded the client; memory a node."""
    with Terminal(python("-m", "benchmarks.bare_app")) as terminal:
        terminal.until(WORD.encode())
        terminal.idle(1)
        bare = _share(terminal, size.seconds / 2)
    with Terminal(python("-c", _BARE_WITH_CLIENT)) as terminal:
        terminal.until(WORD.encode())
        floor = terminal.resident_mb()
    with served(size.few) as fleet:
        few = _resident(fleet, size.few)
    with served(size.nodes) as fleet, fleet.dashboard() as terminal:
        terminal.until(*on_screen(size.nodes))
        terminal.idle(_SETTLING)
        resident = terminal.resident_mb()
        yield Figure(f"resident memory, {size.nodes:,} nodes live", resident, "MB", 1, floor=floor)
        each = (resident - few) / (size.nodes - size.few) * 1000
        yield Figure(
            "memory a node, its pods' work and its changes included", each, "kB", 1, note="by the difference"
        )
        idle = _share(terminal, size.seconds)
        yield Figure(
            f"processor use, {size.nodes:,} nodes, idle", idle, "% of a core", 1, floor=max(bare, 0.05)
        )
        fleet.change(_RATE)
        terminal.idle(2)
        busy = _share(terminal, size.seconds)
        yield Figure(f"processor use, {size.nodes:,} nodes, {_RATE:,} changes/s", busy, "% of a core", 1)
        yield Figure(
            "resident memory after that", terminal.resident_mb(), "MB", 1, floor=floor, note="nothing grows"
        )


def _resident(fleet: Fleet, nodes: int) -> float:
    with fleet.dashboard() as terminal:
        terminal.until(*on_screen(nodes))
        terminal.idle(_SETTLING)
        return terminal.resident_mb()


def _share(terminal: Terminal, seconds: float) -> float:
    """Percent of a core, over so long."""
    before, began = terminal.processor_seconds(), perf_counter()
    terminal.idle(seconds)
    return (terminal.processor_seconds() - before) / (perf_counter() - began) * 100
