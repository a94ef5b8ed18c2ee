"""What is due when, in simulated seconds. Time moves from one due event to the next; nothing is polled."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from backends.simulated.pace import Pace

Action = Callable[[], None]


class Agenda:
    """A heap of actions. `earlier` is called when something becomes due before everything else that is."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._due: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self._running: float | None = None
        self._until = 0.0
        self.earlier: Action = _nothing

    @property
    def now(self) -> float:
        """The due time of what runs at this moment, else the simulated present."""
        return self._pace.elapsed() if self._running is None else self._running

    @property
    def until(self) -> float:
        """How far the present run will go; a repeated action may skip to there."""
        return max(self.now, self._until)

    @property
    def next_due(self) -> float | None:
        """When the next action is due, None where nothing is."""
        return self._due[0][0] if self._due else None

    def after(self, seconds: float, action: Action) -> None:
        """Do `action` in so many simulated seconds."""
        first = self.next_due
        due = self.now + seconds
        heapq.heappush(self._due, (due, next(self._order), action))
        if first is None or due < first:
            self.earlier()

    def run(self, until: float) -> int:
        """Do everything due up to `until`, in order, and what that makes due. Gives how many actions ran."""
        done = 0
        self._until = until
        try:
            while self._due and self._due[0][0] <= until:
                self._running, _, action = heapq.heappop(self._due)
                action()
                done += 1
        finally:
            self._running = None
        return done


def _nothing() -> None:
    """Nobody waits for the agenda."""
