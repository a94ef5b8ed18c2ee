"""Ages in the few letters that `kubectl get` prints: `45s`, `3m10s`, `5h`, `12d`, `2y40d`."""

from __future__ import annotations

from datetime import datetime

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def age(since: str | None, now: datetime) -> str:
    """How long ago an API time was, or `<unknown>`."""
    if not since:
        return "<unknown>"
    return span(int((now - datetime.fromisoformat(since)).total_seconds()))


def span(seconds: int) -> str:
    """A duration as Kubernetes' HumanDuration rounds it: two units while the second still tells something."""
    if seconds < 0:
        return "<invalid>" if seconds < -1 else "0s"
    for below, unit, letter, second_below, second, second_letter in (
        (2 * _MINUTE, 1, "s", 0, 1, ""),
        (3 * _HOUR, _MINUTE, "m", 10 * _MINUTE, 1, "s"),
        (2 * _DAY, _HOUR, "h", 8 * _HOUR, _MINUTE, "m"),
        (2 * _YEAR, _DAY, "d", 8 * _DAY, _HOUR, "h"),
    ):
        if seconds < below:
            return _two(seconds, unit, letter, second if seconds < second_below else 0, second_letter)
    return _two(seconds, _YEAR, "y", _DAY if seconds < 8 * _YEAR else 0, "d")


def _two(seconds: int, unit: int, letter: str, second: int, second_letter: str) -> str:
    whole, rest = divmod(seconds, unit)
    smaller = rest // second if second else 0
    return f"{whole}{letter}{smaller}{second_letter}" if smaller else f"{whole}{letter}"
