"""The machine's own clock, for the tests that run on a real cluster."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta


class RealClock:
    """A `fleet.ports.Clock` that is the machine's."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())
