"""From exec to the terminal: the first bytes, the first frame, and the fleet of the demo on screen."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from benchmarks.bare_app import WORD
from benchmarks.figures import Figure, Size, alternating
from benchmarks.terminal import Terminal, python

QUARTERDECK = python("-m", "tui", "demo")
BARE = python("-m", "benchmarks.bare_app")
PRINT = python("-c", "print('x', flush=True)")


def start(size: Size) -> Iterator[Figure]:
    """First bytes against one print; a first frame, and a first useful one, against a bare Textual app."""
    with tempfile.TemporaryDirectory(prefix="quarterdeck-bench-") as state:
        own = {"XDG_STATE_HOME": state, "XDG_CONFIG_HOME": state, "XDG_CACHE_HOME": state}

        def until(command: list[str], *texts: bytes) -> float:
            with Terminal(command, own) as terminal:
                at = terminal.until(*texts) if texts else terminal.first_bytes()
                return (at - terminal.began) * 1000

        until(QUARTERDECK, b"in service")  # writes the compiled modules
        until(BARE, WORD.encode())
        n = 2 * size.repeats + 1
        bytes_ours, bytes_floor, frame, bare, useful = alternating(
            n,
            lambda: until(QUARTERDECK),
            lambda: until(PRINT),
            lambda: until(QUARTERDECK, b"Quarterdeck"),
            lambda: until(BARE, WORD.encode()),
            lambda: until(QUARTERDECK, b"Quarterdeck", b"60", b"in service"),
        )
    yield Figure("exec to first bytes", bytes_ours, "ms", n, floor=bytes_floor)
    yield Figure("exec to first frame", frame, "ms", n, floor=bare)
    yield Figure("exec to first useful frame (demo, its own server included)", useful, "ms", n, floor=bare)
