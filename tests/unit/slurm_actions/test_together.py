"""What is asked at the same time is one call; a cancel waits for it, and an error is told to whom it concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from backends.slurm.together import MOST, Together
from fleet.errors import FleetError, Missing, Unreachable


class Call:
    """A call that goes on when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.let = asyncio.Event()
        self.began = asyncio.Event()
        self.error: FleetError | None = None

    async def __call__(self, items: Sequence[int]) -> Mapping[int, int | FleetError]:
        self.batches.append(list(items))
        self.began.set()
        await self.let.wait()
        if self.error is not None:
            raise self.error
        return {at: item * 2 if item >= 0 else Missing("no") for at, item in enumerate(items)}


@pytest.fixture
def call() -> Call:
    return Call()


async def test_what_is_asked_in_one_breath_or_during_a_call_goes_together(call: Call) -> None:
    together = Together(call)
    first = [asyncio.create_task(together.ask(item)) for item in range(3)]
    await call.began.wait()
    second = [asyncio.create_task(together.ask(item)) for item in range(3, 6)]
    await asyncio.sleep(0)
    call.let.set()
    assert await asyncio.gather(*first, *second) == [0, 2, 4, 6, 8, 10]
    assert call.batches == [[0, 1, 2], [3, 4, 5]]


async def test_no_call_is_longer_than_a_command_line_allows(call: Call) -> None:
    together = Together(call)
    call.let.set()
    await asyncio.gather(*(together.ask(item) for item in range(MOST + 1)))
    assert [len(batch) for batch in call.batches] == [MOST, 1]


async def test_an_error_is_told_to_whom_it_concerns(call: Call) -> None:
    together = Together(call)
    call.let.set()
    found = await asyncio.gather(together.ask(1), together.ask(-1), return_exceptions=True)
    assert found[0] == 2
    assert isinstance(found[1], Missing)


async def test_a_call_that_fails_fails_for_everybody_and_the_next_one_is_made(call: Call) -> None:
    together = Together(call)
    call.let.set()
    call.error = Unreachable("gone")
    found = await asyncio.gather(together.ask(1), together.ask(2), return_exceptions=True)
    assert all(isinstance(each, Unreachable) for each in found)
    call.error = None
    assert await together.ask(3) == 6


async def test_a_cancel_waits_until_the_call_has_ended(call: Call) -> None:
    together = Together(call)
    asking = asyncio.create_task(together.ask(1))
    await call.began.wait()
    asking.cancel()
    await asyncio.sleep(0)
    assert not asking.done()
    call.let.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
