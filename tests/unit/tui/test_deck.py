"""What the screens and the commands stand on, while the feeds come in one after the other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from fleet.joining import Join
from fleet.observation import NodeSeen
from tests.builders import node
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


@pytest.mark.parametrize("simulated", [False, True])
@pytest.mark.parametrize("replaceable", [False, True])
async def test_new_nodes_are_made_on_a_simulated_or_kwok_fleet_only(
    simulated: bool, replaceable: bool
) -> None:
    deck = lab_fleet(empty=True).deck
    deck.simulated = simulated
    assert deck.provisions is simulated
    deck.report([NodeSeen(replace(node("gpu-1"), replaceable=replaceable))])
    assert deck.provisions is (simulated or replaceable)
