"""A program: the dashboard with a pulse on its event loop, so that whatever blocks the loop is seen from inside it.

Its arguments are a file for what it found and then `quarterdeck`'s own. The file is JSON, written over each time there is
more to say: when the fleet was live, the longest gap of the pulse before and after that, and where that gap was.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from time import perf_counter

from tui import run
from tui.choice import Choice
from tui.cli import parser
from tui.deck import Deck

_PULSE = 0.002


class Pulse:
    """Looks every 2 ms whether the loop still turns."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._gaps: list[tuple[float, float]] = []
        self._began = perf_counter()

    async def beat(self) -> None:
        """Note how late each look is, until cancelled; write down what was found twice a second."""
        written = 0.0
        while True:
            before = perf_counter()
            await asyncio.sleep(_PULSE)
            late = perf_counter() - before - _PULSE
            if late > _PULSE:
                self._gaps.append((round(before - self._began, 4), round(late * 1000, 2)))
            if before - written > 0.5:
                written = before
                self._file.write_text(json.dumps(self._gaps))


def main(file: Path, arguments: list[str]) -> int:
    """Run the dashboard with a pulse."""
    pulse, kept, opened = Pulse(file), list[asyncio.Task[None]](), run._open

    async def with_pulse(choice: Choice) -> Deck:
        kept.append(asyncio.create_task(pulse.beat()))
        return await opened(choice)

    run._open = with_pulse
    return run.run(parser().parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
