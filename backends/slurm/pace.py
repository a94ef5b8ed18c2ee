"""When to ask the controller again: within seconds while something moves, seldom while nothing does, and never a burden to it."""

from __future__ import annotations

from datetime import timedelta
from random import Random

FAST = timedelta(seconds=2)
SLOW = timedelta(seconds=20)
LONGEST = timedelta(seconds=45)
"""However long the controller takes to answer; a feed promises word within ninety seconds."""
SHARE = 10
"""The pause is at least so many times as long as the answer took."""
MOVES_FOR = timedelta(seconds=60)
"""After a change, more are expected for so long."""
_GROWS = 1.5
_FIRST_FAILURE = timedelta(seconds=1)
_LONGEST_FAILURE = timedelta(seconds=30)


class Pace:
    """The pauses of one feed, with jitter, so that a thousand consoles do not ask at once."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._pause = FAST
        self._failure = _FIRST_FAILURE

    def after(self, took: timedelta, *, moving: bool) -> timedelta:
        """The pause after an answer that took `took`; `moving` says that more changes are expected."""
        self._failure = _FIRST_FAILURE
        self._pause = FAST if moving else min(self._pause * _GROWS, SLOW)
        return min(max(self._pause, took * SHARE), LONGEST) * self._chance.uniform(0.9, 1.1)

    def after_failure(self) -> timedelta:
        """The pause after no answer: doubling. What comes next is news, so it is looked at closely."""
        self._pause = FAST
        pause, self._failure = self._failure, min(self._failure * 2, _LONGEST_FAILURE)
        return pause * self._chance.uniform(0.5, 1.0)
