"""Follows a deck's feeds, and the requests of other programs of ours, side by side until it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from fleet.cancel_requests import CancelRequests
from fleet.node import NodeKey
from fleet.ports import Feed
from fleet.telemetry import GpuTelemetry
from tui.deck import Deck


async def follow(feeds: Sequence[Feed], deck: Deck | None) -> None:
    """Let every feed report to the deck, which is there by then. What fails outside is a feed's state, and is not raised."""
    assert deck is not None, "nobody follows before the deck is made"
    requests = CancelRequests(deck.dispatcher, deck.journal, deck.clock, deck.remarks.append)
    async with asyncio.TaskGroup() as following:
        following.create_task(requests.follow())
        for feed in feeds:
            following.create_task(feed.follow(deck.report))


async def no_gpus(keys: Collection[NodeKey]) -> Mapping[NodeKey, Sequence[GpuTelemetry]]:
    """The GPUs of a fleet that nobody reads telemetry of."""
    return {}
