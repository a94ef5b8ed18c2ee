"""Says how a feed is: each change of its health, and now and then that it was heard of, without flooding anybody."""

from __future__ import annotations

from datetime import datetime, timedelta

from fleet.feeds import FeedHealth, FeedState
from fleet.observation import FeedChanged
from fleet.ports import Clock, Report

HEARD_EVERY = timedelta(seconds=5)


class FeedReport:
    """The state of one feed, reported when it changes."""

    def __init__(self, source: str, name: str, clock: Clock, report: Report) -> None:
        self._source = source
        self._name = name
        self._clock = clock
        self._report = report
        self._heard: datetime | None = None
        self._state = self._tell(FeedHealth.STARTING, clock.now())

    @property
    def health(self) -> FeedHealth:
        return self._state.health

    def heard(self, note: str = "") -> None:
        """There was word, and what is shown is up to date: live, and told again at most every five seconds.

        `note` says what is amiss all the same, such as an object that can't be read.
        """
        state, now = self._state, self._clock.now()
        self._heard = now
        if state.health is not FeedHealth.LIVE:
            self._state = self._tell(FeedHealth.LIVE, now, note)
        elif state.why != note or state.heard is None or now - state.heard >= HEARD_EVERY:
            self._state = self._tell(FeedHealth.LIVE, state.since, note)

    def failed(self, health: FeedHealth, why: str) -> None:
        """It is not to be believed, and why. The same again is told once; `since` is when this health began."""
        if self._state.health is health and self._state.why == why:
            return
        since = self._state.since if self._state.health is health else self._clock.now()
        self._state = self._tell(health, since, why)

    def _tell(self, health: FeedHealth, since: datetime, why: str = "") -> FeedState:
        state = FeedState(self._source, self._name, health, since, self._heard, why)
        self._report([FeedChanged(state)])
        return state
