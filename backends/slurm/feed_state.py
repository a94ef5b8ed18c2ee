"""Says how one of the feed's streams is: every change of its health, and now and then that it was heard of."""

from __future__ import annotations

from datetime import datetime, timedelta

from fleet.errors import Denied, FleetError, Garbled, Throttled
from fleet.feeds import FeedHealth, FeedState
from fleet.observation import FeedChanged
from fleet.ports import Clock, Report

TELL_EVERY = timedelta(seconds=5)


class StreamState:
    """The health of one stream, `nodes` or `jobs`, reported as it changes."""

    def __init__(self, source: str, name: str, clock: Clock, report: Report) -> None:
        self._clock = clock
        self._report = report
        self._state = FeedState(source, name, FeedHealth.STARTING, clock.now())
        report([FeedChanged(self._state)])

    def heard(self, note: str = "") -> None:
        """There was an answer. `note` says what is amiss all the same."""
        now, old = self._clock.now(), self._state
        live = old.health is FeedHealth.LIVE
        if live and old.why == note and old.heard is not None and now - old.heard < TELL_EVERY:
            return
        self._tell(FeedHealth.LIVE, old.since if live else now, now, note)

    def failed(self, error: FleetError) -> None:
        """There was none, and why. What was shown stays, and is not to be believed."""
        health, old = _health(error), self._state
        if (old.health, old.why) != (health, str(error)):
            since = old.since if old.health is health else self._clock.now()
            self._tell(health, since, old.heard, str(error))

    def _tell(self, health: FeedHealth, since: datetime, heard: datetime | None, why: str) -> None:
        self._state = FeedState(self._state.source, self._state.name, health, since, heard, why)
        self._report([FeedChanged(self._state)])


def _health(error: FleetError) -> FeedHealth:
    match error:
        case Denied():
            return FeedHealth.DENIED
        case Throttled():
            return FeedHealth.THROTTLED
        case Garbled():
            return FeedHealth.GARBLED
        case _:
            return FeedHealth.UNREACHABLE
