"""Watches: long answers that tell each change as one JSON line, from a version on.

They end, expire, fall silent and are cut as on a real API server; `Watches` is where a test says so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from random import Random

from aiohttp import web

from backends.simulated.event_view import kept_as, view
from backends.simulated.list_options import ListOptions
from backends.simulated.objects import Event, Json, ObjectStore, Stored
from backends.simulated.renderings import Rendering, encode
from backends.simulated.statuses import too_old
from fleet.ports import Clock

BOOKMARK_EVERY = timedelta(minutes=1)
_FAREWELL = timedelta(seconds=2)
_SLOW = 50_000
"""Undelivered lines after which a watch is ended, as the API server drops readers that cannot keep up."""


class Watch:
    """One open watch: what it selects, how it wants it, and the lines not yet sent."""

    def __init__(self, options: ListOptions, form: Rendering, watches: Watches) -> None:
        self._options = options
        self._form = form
        self._watches = watches
        self._from = 0
        self._lines: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._ended = False
        self._transport: asyncio.Transport | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer with the stream until it ends, is cut, or its reader goes."""
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        response.enable_chunked_encoding()
        self._transport = request.transport
        self._begin()
        self._watches.opened(self)
        timekeeper = asyncio.ensure_future(self._keep_time())
        try:
            await response.prepare(request)
            await self._deliver(response)
            await response.write_eof()
        except ConnectionError:
            pass
        finally:
            timekeeper.cancel()
            self._watches.closed(self)
        return response

    def tell(self, event: Event) -> None:
        """Queue an event of the store, if the watch selects it before or after."""
        if event.version <= self._from or event.resource is not kept_as(self._options.selection.resource):
            return
        admits = self._options.selection.admits
        was = event.previous is not None and admits(event.previous)
        is_now = event.type != "DELETED" and admits(event.stored)
        if is_now:
            self._say("MODIFIED" if was else "ADDED", event.stored)
        elif was and event.previous is not None:
            last = event.stored if event.type == "DELETED" else _at_version(event.previous, event.version)
            self._say("DELETED", last)
        if len(self._lines) > _SLOW:
            self.end()

    def end(self) -> None:
        """End the stream cleanly once everything queued is sent."""
        self._ended = True
        self._wake.set()

    def cut(self) -> None:
        """Break the connection off in the middle."""
        if self._transport is not None:
            self._transport.abort()

    def wake(self) -> None:
        """Look again whether there is something to send."""
        self._wake.set()

    def _begin(self) -> None:
        options, store = self._options, self._watches.store
        current = store.version
        self._from = options.version or current
        initial = options.initial_events
        if initial or (initial is None and not options.version):
            self._from = max(self._from, current)
            for stored in options.selection.rows(store):
                self._say("ADDED", stored)
            if initial:
                self._bookmark({"annotations": {"k8s.io/initial-events-end": "true"}})
            return
        missed = store.since(kept_as(options.selection.resource), self._from)
        if missed is None:
            oldest = store.oldest(kept_as(options.selection.resource))
            self._line("ERROR", encode(too_old(self._from, oldest).body))
            self.end()
            return
        for event in missed:
            self.tell(event)

    def _say(self, word: str, stored: Stored) -> None:
        self._line(word, self._form.whole(view(self._options.selection.resource, stored)))

    def _bookmark(self, metadata: Json | None = None) -> None:
        version = self._watches.store.version
        if self._options.bookmarks and version >= self._from:
            self._line("BOOKMARK", self._form.bookmark({"resourceVersion": str(version), **(metadata or {})}))

    def _line(self, word: str, obj: bytes) -> None:
        self._lines.append(b'{"type":"%s","object":%s}\n' % (word.encode(), obj))
        self._wake.set()

    async def _deliver(self, response: web.StreamResponse) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._lines and not self._watches.silent:
                ready = [self._lines.popleft() for _ in range(min(len(self._lines), 200))]
                await response.write(b"".join(ready))
            if self._ended:
                return

    async def _keep_time(self) -> None:
        clock, left = self._watches.clock, self._watches.life(self._options.timeout_seconds)
        while left > BOOKMARK_EVERY:
            await clock.sleep(BOOKMARK_EVERY)
            left -= BOOKMARK_EVERY
            self._bookmark()
        if left > _FAREWELL:
            await clock.sleep(left - _FAREWELL)
            left = _FAREWELL
        self._bookmark()
        await clock.sleep(left)
        if not self._watches.silent:
            self.end()


class Watches:
    """All open watches of a server."""

    def __init__(self, store: ObjectStore, clock: Clock, random: Random) -> None:
        self.store = store
        self.clock = clock
        self.silent = False
        self._random = random
        self._open: list[Watch] = []
        self._changed = asyncio.Event()
        store.subscribe(self._tell)

    @property
    def count(self) -> int:
        """How many are open now."""
        return len(self._open)

    def opened(self, watch: Watch) -> None:
        """Tell `watch` of every event from here on."""
        self._open.append(watch)
        self._changed.set()

    def closed(self, watch: Watch) -> None:
        """Forget `watch`."""
        self._open.remove(watch)
        self._changed.set()

    def open_now(self) -> Sequence[Watch]:
        """The watches that are open."""
        return tuple(self._open)

    async def until_open(self, count: int) -> None:
        """Return once exactly `count` watches are open."""
        while len(self._open) != count:
            self._changed.clear()
            await self._changed.wait()

    def life(self, timeout_seconds: int | None) -> timedelta:
        """How long a watch may last: as asked, or half an hour to an hour, drawn so that not all end at once."""
        if timeout_seconds:
            return timedelta(seconds=timeout_seconds)
        return timedelta(seconds=self._random.uniform(1800, 3600))

    def end_all(self) -> None:
        """End every open watch cleanly."""
        for watch in self.open_now():
            watch.end()

    def cut_all(self) -> None:
        """Break every open watch off."""
        for watch in self.open_now():
            watch.cut()

    def fall_silent(self, silent: bool) -> None:
        """Hold all lines back, or send what was held."""
        self.silent = silent
        for watch in self.open_now():
            watch.wake()

    def _tell(self, event: Event) -> None:
        for watch in self.open_now():
            watch.tell(event)


def _at_version(stored: Stored, version: int) -> Stored:
    metadata = {**stored.object["metadata"], "resourceVersion": str(version)}
    return Stored(stored.key, {**stored.object, "metadata": metadata}, version)
