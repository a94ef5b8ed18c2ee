"""What the domain needs from outside, as protocols: readers apart from writers, and time apart from both.

Nothing here does anything. `tui.wiring` gives each port an adapter; writers go to the dispatcher alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Time, injected, so that a test can own it."""

    def now(self) -> datetime:
        """The wall clock, timezone-aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        ...

    async def sleep(self, span: timedelta) -> None:
        """Return once `span` has passed on this clock."""
        ...
