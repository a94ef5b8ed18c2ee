"""The whole fleet in one line: what the header shows, at the cost of reading it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fleet.feeds import FeedHealth, FeedState
from fleet.store import FleetStore
from fleet.tally import Totals


@dataclass(frozen=True, slots=True)
class FeedBadge:
    """A feed and how far it can be believed now, which may be less than it last said of itself."""

    state: FeedState
    health: FeedHealth


@dataclass(frozen=True, slots=True)
class FleetSummary:
    """Fleet-wide totals and every feed's freshness."""

    totals: Totals
    feeds: tuple[FeedBadge, ...]

    @property
    def believed(self) -> bool:
        """Whether there is a feed, and every feed is live."""
        return bool(self.feeds) and all(badge.health is FeedHealth.LIVE for badge in self.feeds)


def summarise(store: FleetStore, now: datetime) -> FleetSummary:
    """The fleet as it stands at `now`."""
    feeds = tuple(FeedBadge(state, state.believed(now)) for state in store.feed_states())
    return FleetSummary(store.groups.fleet, feeds)
