"""When a Job is out of time, and when a finished one is taken away: `activeDeadlineSeconds` and `ttlSecondsAfterFinished`.

Both are simulated seconds, as everything that happens is; the stamps on the objects are the clock's.
"""

from __future__ import annotations

from collections.abc import Callable

from backends.simulated.objects import Json
from backends.simulated.site import Site

_HAIR = 1e-6


class JobTimes:
    """Since when each Job runs, and has ended. `again` has a Job looked at once more."""

    def __init__(self, site: Site, again: Callable[[Json], None]) -> None:
        self._site = site
        self._again = again
        self._begun: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._awaited: set[tuple[str, float]] = set()

    def out_of_time(self, job: Json) -> bool:
        """Whether a Job that runs has run for longer than it may. Suspending it starts its time anew."""
        if job["spec"].get("suspend"):
            self._begun.pop(job["metadata"]["uid"], None)
            return False
        return self._past(job, self._begun, job["spec"].get("activeDeadlineSeconds"))

    def outlived(self, job: Json) -> bool:
        """Whether a Job that ended has been there for as long as it is kept."""
        return self._past(job, self._ended, job["spec"].get("ttlSecondsAfterFinished"))

    def forget(self, uid: str) -> None:
        """Drop what is known of a Job that is gone."""
        self._begun.pop(uid, None)
        self._ended.pop(uid, None)
        self._awaited = {each for each in self._awaited if each[0] != uid}

    def _past(self, job: Json, since: dict[str, float], seconds: int | None) -> bool:
        uid, now = job["metadata"]["uid"], self._site.agenda.now
        began = since.setdefault(uid, now)
        if seconds is None:
            return False
        due = began + seconds
        if now >= due - _HAIR:
            return True
        if (uid, due) not in self._awaited:
            self._awaited.add((uid, due))
            self._site.agenda.after(due - now, lambda: self._again(job))
        return False
