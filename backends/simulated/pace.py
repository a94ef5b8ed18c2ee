"""How simulated time runs against the clock: in step, faster, or ahead by a jump.

Simulated seconds decide when things happen; the stamps written on objects are the clock's, so that a console beside the
simulator never sees an age below zero however fast the simulation runs.
"""

from __future__ import annotations

from fleet.ports import Clock


class Pace:
    """Simulated seconds since the start, derived from a clock at `speed` simulated seconds per second."""

    def __init__(self, clock: Clock, speed: float = 1.0) -> None:
        self._clock = clock
        self._speed = _checked(speed)
        self._from_clock = clock.monotonic()
        self._from_simulated = 0.0

    @property
    def speed(self) -> float:
        return self._speed

    def elapsed(self) -> float:
        """Simulated seconds since the start."""
        return self._from_simulated + (self._clock.monotonic() - self._from_clock) * self._speed

    def run_at(self, speed: float) -> None:
        """Run at another speed from now on. Raises ValueError unless it is a number above 0 and at most 10,000."""
        speed = _checked(speed)
        self._from_simulated, self._from_clock = self.elapsed(), self._clock.monotonic()
        self._speed = speed

    def jump(self, seconds: float) -> None:
        """Be `seconds` of simulated time further on, at once."""
        self._from_simulated += seconds

    def clock_seconds(self, simulated: float) -> float:
        """How long the clock takes for that many simulated seconds."""
        return simulated / self._speed


def _checked(speed: float) -> float:
    if not 0 < speed <= 10_000:
        raise ValueError(f"speed must be above 0 and at most 10000, not {speed!r}")
    return speed
