"""What the screens and the commands stand on, while the feeds come in one after the other."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from fleet.joining import Join
from tests.lab_fleet import lab_fleet

A_MOMENT = timedelta(seconds=0.05)


async def test_metrics_read_before_the_nodes_were_listed_are_waited_for() -> None:
    fleet = lab_fleet()
    deck, joins = fleet.deck, [Join({})]
    deck.joined = lambda: joins[-1]
    following = asyncio.ensure_future(deck.follow())
    await deck.known(timedelta(seconds=1))
    waiting = asyncio.ensure_future(deck.metrics_joined())
    await fleet.clock.advance(A_MOMENT)
    assert not waiting.done()
    joins.append(Join({key: key.name for key in deck.store.rows_by_key}))
    await fleet.clock.advance(A_MOMENT)
    assert await waiting is joins[-1]
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
