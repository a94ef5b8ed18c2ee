"""The state of each stream of facts, so that a stale screen can say so, since when and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum


class FeedHealth(Enum):
    """How far a feed can be believed."""

    STARTING = "starting"
    LIVE = "live"
    STALE = "stale"  # no word for longer than it promises
    THROTTLED = "throttled"
    DENIED = "denied"
    UNREACHABLE = "unreachable"
    GARBLED = "garbled"


@dataclass(frozen=True, slots=True)
class FeedState:
    """One feed's state. `name` like `nodes`, `pods`, `gpu`; `heard` the last word from it; `since` when this health began."""

    source: str
    name: str
    health: FeedHealth
    since: datetime
    heard: datetime | None = None
    why: str = ""
    promises: timedelta = timedelta(seconds=90)

    def believed(self, now: datetime) -> FeedHealth:
        """The health at `now`: a live feed that has been silent for longer than it promises is stale."""
        if self.health is FeedHealth.LIVE and (self.heard is None or now - self.heard > self.promises):
            return FeedHealth.STALE
        return self.health
