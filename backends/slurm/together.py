"""Gathers what is asked at the same time into one call: the controller's work is per command, not per node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

from fleet.errors import FleetError
from fleet.node import NodeKey
from fleet.plan import NodeFacts
from fleet.ports import Reader

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST = 200
"""Items in one call: names and notes must fit on a command line."""


class Together(Generic[Item, Answer]):
    """Hands `call` everything that was asked while the call before it ran. One call at a time.

    `call` answers by place; an error may stand in a place, and one that it raises is everybody's.
    """

    def __init__(
        self, call: Callable[[Sequence[Item]], Awaitable[Mapping[int, Answer | FleetError]]]
    ) -> None:
        self._call = call
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._calling: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Answer:
        """The answer to `item`. A cancel waits until the call has ended, so that nothing is left half done."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._calling is None:
            self._calling = asyncio.create_task(self._go())
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            with suppress(FleetError):
                await answer
            raise

    async def _go(self) -> None:
        await asyncio.sleep(0)  # whoever asks in the same breath comes along
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._once(batch)
        finally:
            self._calling = None

    async def _once(self, batch: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            found = await self._call([item for item, _ in batch])
            for place, (_, answer) in enumerate(batch):
                _tell(answer, found[place])
        except FleetError as error:
            for _, answer in batch:
                _tell(answer, error)
        finally:
            for _, answer in batch:
                answer.cancel()  # nothing where it was answered


def _tell(answer: asyncio.Future[Answer], given: Answer | FleetError) -> None:
    if answer.done():
        return
    if isinstance(given, FleetError):
        answer.set_exception(given)
    else:
        answer.set_result(given)


class SharedReads:
    """A reader whose reads of one node each, asked at the same time, are one read of them all."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._with_work: Together[NodeKey, NodeFacts | None] = Together(partial(self._read, True))
        self._alone: Together[NodeKey, NodeFacts | None] = Together(partial(self._read, False))

    async def facts(self, node: NodeKey, *, work: bool = True) -> NodeFacts | None:
        """The node's facts, read now; None where it is not there. Raises FleetError."""
        return await (self._with_work if work else self._alone).ask(node)

    async def _read(self, work: bool, nodes: Sequence[NodeKey]) -> Mapping[int, NodeFacts | None]:
        found = await self._reader.read(tuple(dict.fromkeys(nodes)), work=work)
        return {place: found.get(node) for place, node in enumerate(nodes)}
