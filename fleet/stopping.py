"""How an operation is stopped early: a signal that its steps heed at safe points, and never in the middle of the journal.

It is not asyncio's own cancellation, which would cut a journal record or an ending as gladly as a wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import Enum
from typing import Any, TypeVar

from fleet.errors import OutcomeUnknown

T = TypeVar("T")


class Stop(Enum):
    """Why an operation stops before its end: a person cancelled it, or the program leaves it to be resumed."""

    CANCEL = "cancel"
    LEAVE = "leave"


class Stopped(Exception):
    """A stop was asked for, and what was under way has ended."""


class StopSignal:
    """One operation's stop. The first one asked for counts."""

    def __init__(self) -> None:
        self.why: Stop | None = None
        self._under_way: set[asyncio.Future[Any]] = set()

    def ask(self, why: Stop) -> None:
        """Stop whatever waits under `unless`, and let nothing more begin there."""
        if self.why is None:
            self.why = why
            for work in self._under_way:
                work.cancel()

    def heed(self) -> None:
        """Raise Stopped where a stop was asked for."""
        if self.why is not None:
            raise Stopped

    async def unless(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, also where it came in spite of a stop. Raises Stopped once a stopped `work` has ended.

        Raises OutcomeUnknown where `work` was cut off and nobody asked for it.
        """
        if self.why is not None:
            work.close()
            raise Stopped
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        finally:
            self._under_way.discard(task)
        if not task.cancelled():
            return task.result()
        if self.why is None:
            raise OutcomeUnknown("it was cut off")
        raise Stopped
