"""Several calls at once; the first failure ends the others and is raised as it is, not in a group."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_Result = TypeVar("_Result")


async def together(calls: Iterable[Coroutine[Any, Any, _Result]], *, at_once: int = 8) -> list[_Result]:
    """The results in the order of `calls`, of which at most `at_once` run at a time."""
    room = asyncio.Semaphore(at_once)

    async def one(call: Coroutine[Any, Any, _Result]) -> _Result:
        async with room:
            return await call

    waiting = list(calls)
    tasks = [asyncio.ensure_future(one(call)) for call in waiting]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for call in waiting:
            call.close()
