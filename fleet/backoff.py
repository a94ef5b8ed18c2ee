"""How long to wait before asking again: doubling, with jitter, so that a thousand consoles do not come back at once."""

from __future__ import annotations

from datetime import timedelta
from random import Random


class Backoff:
    """Waits of `first`, doubling up to `longest`, each between half and all of that."""

    def __init__(
        self,
        chance: Random,
        *,
        first: timedelta = timedelta(seconds=1),
        longest: timedelta = timedelta(seconds=30),
    ) -> None:
        self._chance = chance
        self._first = first
        self._longest = longest
        self._next = first

    def wait(self, at_least: timedelta | None = None) -> timedelta:
        """The next wait; never shorter than the server asked for."""
        span = self._next * self._chance.uniform(0.5, 1.0)
        self._next = min(self._next * 2, self._longest)
        return max(span, at_least) if at_least is not None else span

    def slow(self) -> timedelta:
        """A wait for what time alone won't mend: a refusal."""
        return self._longest * self._chance.uniform(0.8, 1.2)

    def reset(self) -> None:
        """It went well: start over."""
        self._next = self._first
