"""The header's line: totals of the fleet and how far each feed can be believed."""

from __future__ import annotations

from datetime import timedelta

from fleet.feeds import FeedHealth, FeedState
from fleet.node import Node, NodeKey
from fleet.observation import FeedChanged, NodeSeen
from fleet.store import FleetStore
from fleet.summary import summarise
from tests.unit.fleet_strategies import START


def test_the_summary_has_the_totals_and_the_feeds() -> None:
    store = FleetStore()
    store.apply(NodeSeen(Node(NodeKey("prod", "gpu-1"))))
    store.apply(FeedChanged(FeedState("prod", "nodes", FeedHealth.LIVE, START, START)))
    summary = summarise(store, START)
    assert (summary.totals.nodes, [badge.health for badge in summary.feeds]) == (1, [FeedHealth.LIVE])
    assert summary.believed


def test_a_feed_that_fell_silent_is_stale_whatever_it_last_said() -> None:
    store = FleetStore()
    store.apply(FeedChanged(FeedState("prod", "nodes", FeedHealth.LIVE, START, START)))
    summary = summarise(store, START + timedelta(minutes=10))
    assert [badge.health for badge in summary.feeds] == [FeedHealth.STALE]
    assert not summary.believed


def test_a_fleet_without_feeds_is_not_believed() -> None:
    assert not summarise(FleetStore(), START).believed
