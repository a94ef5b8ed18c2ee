"""Brings changes of the fleet to the screen at a rate that a person can see, however many events come.

The first change after a quiet time is told at once; what follows within `INTERVAL` is told together. Nothing is carried:
the receiver asks the store what changed, so a burst of any length costs one repaint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

INTERVAL = 0.1
"""Seconds between two repaints of the fleet."""


class Pump:
    """`tell` is called on the running loop, never more often than each `interval` seconds."""

    def __init__(self, tell: Callable[[], object], interval: float = INTERVAL) -> None:
        self._tell = tell
        self._interval = interval
        self._dirty = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        """Whether something will be told, or was just now."""
        return self._timer is not None

    def hear(self) -> None:
        """Something changed. Cheap: it may come thousands of times a second."""
        if self._timer is not None:
            self._dirty = True
            return
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._again)
        self._tell()

    def stop(self) -> None:
        """Tell nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        self._timer = None
        if self._dirty:
            self._dirty = False
            self.hear()
