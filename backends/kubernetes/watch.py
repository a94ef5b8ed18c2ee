"""Follows one kind of object: a list in pages, then a watch from there on, for as long as anybody wants it.

Whatever goes wrong becomes the feed's state and a wait; a list that fails removes nothing. What a real API server does is in the
project's notes: clean ends at a watch's timeout, 410 within HTTP 200, silence, plain-text 429.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import islice
from random import Random
from typing import Any, Generic, Protocol

from backends.kubernetes.connection import SILENCE, Api, Query
from backends.kubernetes.errors import Expired, Silent, of_event
from backends.kubernetes.feed_report import FeedReport
from backends.kubernetes.shapes import Page, Reading, Shape, WatchEvent
from fleet.backoff import Backoff
from fleet.errors import Denied, FleetError, Garbled, Throttled, Unreachable
from fleet.feeds import FeedHealth
from fleet.observation import Observation
from fleet.ports import Clock, Report

PAGE = 500
"""Objects a page: 12 ms of decoding for nodes, done in a thread."""
LIST_DEADLINE = timedelta(seconds=60)
_WATCH_SECONDS = (70, 80)
"""A watch is ended by the server before its silence could worry anybody; a range, so that not all end at once."""
_BATCH = 100
"""Observations reported at a time: some milliseconds of a store's work, so that a long list never holds the screen."""
_SHORT = 1.0
"""Seconds: a watch that ended sooner, and said nothing, was none."""
_LONG = 60.0
"""Seconds after which a bookmark must have come."""
_RELISTS = 3


class Intake(Protocol[Shape]):
    """What becomes of objects. `page` runs in a thread, one at a time; the others on the loop."""

    @property
    def note(self) -> str:
        """What is amiss with what was read, empty if nothing is."""
        ...

    def begin(self) -> None:
        """A list begins."""
        ...

    def page(self, page: Page[Shape]) -> Sequence[Observation]:
        """One page of it."""
        ...

    def complete(self) -> Iterable[Observation]:
        """It is complete: whoever was not in it is gone. Consumed in small batches, with other tasks between them."""
        ...

    def event(self, event: WatchEvent[Shape]) -> Sequence[Observation]:
        """ADDED, MODIFIED or DELETED."""
        ...


class ListWatch(Generic[Shape]):
    """One feed of one source. `follow` runs until cancelled; `one_round` is a list, if one is due, and a watch.

    `after` is a feed whose first list goes before this one's, however it ends: side by side, both would take twice as long.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        name: str,
        reading: Reading[Shape],
        intake: Intake[Shape],
        *,
        clock: Clock,
        chance: Random,
        selector: Query = (),
        silence: timedelta = SILENCE,
        after: ListWatch[Any] | None = None,
    ) -> None:
        self._api = api
        self._path = path
        self._name = name
        self._reading = reading
        self._intake = intake
        self._clock = clock
        self._chance = chance
        self._selector = tuple(selector)
        self._silence = silence
        self.listed: asyncio.Event = asyncio.Event()
        self._after_list = after.listed if after is not None else None
        self._backoff = Backoff(chance)
        self._version = ""
        self._strikes = 0  # failures in a row since there was last word

    async def follow(self, report: Report) -> None:
        """Report until cancelled. Nothing is raised: failures are the feed's state."""
        state = FeedReport(self._api.source, self._name, self._clock, report)
        if self._after_list is not None:
            await self._after_list.wait()
        while True:
            pause = await self.one_round(report, state)
            await self._clock.sleep(pause)

    async def one_round(self, report: Report, state: FeedReport) -> timedelta:
        """List where a list is due, then watch to the watch's end. Gives how long to wait before the next round."""
        try:
            if not self._version:
                try:
                    await self._list(report, state)
                finally:
                    self.listed.set()
            return await self._watch(report, state)
        except Expired:
            self._version = ""
            self._strikes += 1
            return timedelta(0) if self._strikes <= _RELISTS else self._backoff.wait()
        except Silent as error:
            return self._silent(error, state)
        except Unreachable as error:
            return self._unreachable(error, state)
        except Throttled as error:
            state.failed(FeedHealth.THROTTLED, str(error))
            return self._backoff.wait(error.retry_after)
        except Denied as error:
            self._version = ""
            state.failed(FeedHealth.DENIED, error.message)
            return self._backoff.slow()
        except FleetError as error:
            self._version = ""
            garbled = isinstance(error, Garbled)
            state.failed(FeedHealth.GARBLED if garbled else FeedHealth.UNREACHABLE, str(error))
            return self._backoff.wait()

    async def _list(self, report: Report, state: FeedReport) -> None:
        self._intake.begin()
        body = await self._page_after("")
        while True:
            page = await asyncio.to_thread(self._reading.page, body, about=self._path)
            # The server works on the next page while this one is taken in.
            following = asyncio.ensure_future(self._page_after(page.more)) if page.more else None
            try:
                await tell(report, await asyncio.to_thread(self._intake.page, page))
                if following is None:
                    break
                body = await following
            finally:
                if following is not None:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
        await tell(report, self._intake.complete())
        self._version = page.version
        state.heard(self._intake.note)

    async def _page_after(self, token: str) -> bytes:
        query = [*self._selector, ("limit", str(PAGE)), *([("continue", token)] if token else [])]
        return await self._api.get(self._path, query, deadline=LIST_DEADLINE)

    async def _watch(self, report: Report, state: FeedReport) -> timedelta:
        began, seen = self._clock.monotonic(), 0
        query = [
            *self._selector,
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._version),
            ("timeoutSeconds", str(self._chance.randint(*_WATCH_SECONDS))),
        ]

        def accepted() -> None:
            # After a silence only a line shows that the watch is alive again.
            if state.health is not FeedHealth.STALE:
                state.heard(self._intake.note)

        lines = self._api.watch(self._path, query, silence=self._silence, accepted=accepted)
        async with contextlib.aclosing(lines):
            async for line in lines:
                self._event(self._reading.event(line, about=self._path), report)
                self._well(state)
                seen += 1
        self._well(state)
        return self._after(self._clock.monotonic() - began, seen)

    def _after(self, lasted: float, seen: int) -> timedelta:
        """What a clean end means: most often that the time was up."""
        if seen:
            return timedelta(0)
        if lasted >= _LONG:
            # No bookmark at all: the server does not know this version yet, as after a restore from a backup.
            self._version = ""
            return timedelta(0)
        return self._backoff.wait() if lasted < _SHORT else timedelta(0)

    def _event(self, event: WatchEvent[Shape], report: Report) -> None:
        if event.status is not None:
            raise of_event(event.status, about=self._path)
        if event.version:
            self._version = event.version
        if event.type != "BOOKMARK" and (observations := self._intake.event(event)):
            report(observations)

    def _well(self, state: FeedReport) -> None:
        self._strikes = 0
        self._backoff.reset()
        state.heard(self._intake.note)

    def _silent(self, error: Silent, state: FeedReport) -> timedelta:
        """Reconnect at once from where it was; a second silence means that the version itself is not to be trusted."""
        self._strikes += 1
        if self._strikes > 1:
            self._version = ""
        state.failed(FeedHealth.STALE, str(error))
        return timedelta(0) if self._strikes == 1 else self._backoff.wait()

    def _unreachable(self, error: Unreachable, state: FeedReport) -> timedelta:
        """One broken watch is asked for again at once, since load balancers break them; what fails twice is told.

        After an outage it is listed anew: a server put back from a backup stays silent on a version of its lost future.
        """
        self._strikes += 1
        if self._strikes == 1 and state.health is FeedHealth.LIVE:
            return timedelta(seconds=self._chance.uniform(0, 0.2))
        self._version = ""
        state.failed(FeedHealth.UNREACHABLE, str(error))
        return self._backoff.wait()


async def tell(report: Report, observations: Iterable[Observation]) -> None:
    """Report in small batches, with other tasks between them."""
    left = iter(observations)
    while batch := list(islice(left, _BATCH)):
        report(batch)
        await asyncio.sleep(0)
