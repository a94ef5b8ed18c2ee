"""Runs blocking calls in daemon threads, so that leaving the program never waits for one of them.

`asyncio.to_thread` would: the loop and the interpreter both join its threads, and a request that hangs holds them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class DaemonThreads:
    """At most `limit` calls at once. A call that its caller gave up keeps its place until it really ends."""

    def __init__(self, limit: int, name: str) -> None:
        self._places = asyncio.Semaphore(limit)
        self._name = name

    async def call(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises. Cancelling returns at once and leaves the thread to its end."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        delivery = _Delivery(loop, result, self._places)
        threading.Thread(target=_run, args=(work, delivery), name=self._name, daemon=True).start()
        return await result


class _Delivery(Generic[T]):
    """Carries what happens in the thread, whatever it is, to the future that waits for it."""

    value: T

    def __init__(
        self, loop: asyncio.AbstractEventLoop, result: asyncio.Future[T], places: asyncio.Semaphore
    ) -> None:
        self._loop = loop
        self._result = result
        self._places = places

    def __enter__(self) -> _Delivery[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._settle, error)
        except RuntimeError:
            return True  # the loop is closed: nobody waits any more
        return True

    def _settle(self, error: BaseException | None) -> None:
        self._places.release()
        if self._result.cancelled():
            return
        if error is None:
            self._result.set_result(self.value)
        else:
            self._result.set_exception(error)


def _run(work: Callable[[], T], delivery: _Delivery[T]) -> None:
    with delivery:
        delivery.value = work()
