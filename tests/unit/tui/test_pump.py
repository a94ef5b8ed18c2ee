"""The pump tells the first change at once and a burst once."""

from __future__ import annotations

import asyncio

from tui.pump import Pump


async def test_a_burst_is_told_at_once_and_once_more_at_its_end() -> None:
    told: list[int] = []
    pump = Pump(lambda: told.append(len(told)), interval=0.01)
    for _ in range(5_000):
        pump.hear()
    assert len(told) == 1
    while len(told) < 2:
        await asyncio.sleep(0)
    pump.stop()
    assert len(told) == 2


async def test_after_it_was_stopped_nothing_is_told() -> None:
    told: list[int] = []
    pump = Pump(lambda: told.append(1), interval=0.01)
    pump.hear()
    pump.hear()
    waited = pump.waits
    pump.stop()
    assert (waited, pump.waits, told) == (True, False, [1])
