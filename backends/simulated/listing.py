"""Lists and their pages: a consistent snapshot walked by an opaque token that expires, as etcd's compaction has it."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from backends.simulated.event_view import kept_as, view
from backends.simulated.list_options import ListOptions, Selection
from backends.simulated.objects import Json, ObjectStore, Stored
from backends.simulated.statuses import Refused, bad_request, too_large, too_old
from fleet.ports import Clock

TOKEN_LIFE = timedelta(minutes=5)
_SNAPSHOTS = 64
_ANY_VERSION = -1
_PATIENCE = timedelta(seconds=3)


class _Token(msgspec.Struct):
    """Where the next page starts: after `start`, in the state of `rv`; -1 is whatever state there is."""

    rv: int
    start: str


@dataclass(frozen=True, slots=True)
class Page:
    """A list's answer: `metadata` holds resourceVersion and, where more follows, continue and remainingItemCount."""

    rows: Sequence[Stored]
    metadata: Json


class Lister:
    """Answers lists of one store; remembers a snapshot for every list that is being paged."""

    def __init__(self, store: ObjectStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._snapshots: OrderedDict[tuple[int, str, str | None, str], tuple[datetime, Sequence[Stored]]] = (
            OrderedDict()
        )

    def expire_tokens(self) -> None:
        """Let every continue token given out be answered 410."""
        self._snapshots.clear()

    async def page(self, options: ListOptions) -> Page:
        """One page, or the whole list where there is no limit. Refused: 400, 410 for the past, 504 for the future."""
        if options.continue_token:
            return self._following(options)
        await self.wait_for(options.version)
        kept = kept_as(options.selection.resource)
        if (
            options.match == "Exact"
            and options.version is not None
            and options.version != self._store.version
        ):
            changed = self._store.since(kept, options.version)
            if changed is None or changed:
                raise too_old(options.version, self._store.version)
        rows = options.selection.rows(self._store)
        version = self._store.version
        # A list at version 0 comes from the watch cache, which has no pages.
        limit = 0 if options.version == 0 else options.limit
        return self._cut(options.selection, rows, 0, limit, version)

    async def wait_for(self, version: int | None) -> None:
        """Give a version of the future three seconds to come; refused (504) if it does not."""
        if version is not None and version > self._store.version:
            await self._clock.sleep(_PATIENCE)
            if version > self._store.version:
                raise too_large(version, self._store.version)

    def _following(self, options: ListOptions) -> Page:
        token = _decoded(options.continue_token)
        if token.rv == _ANY_VERSION:
            rows, version = options.selection.rows(self._store), self._store.version
        else:
            version = token.rv
            expires, rows = self._snapshots.get(_key(options.selection, version), (self._clock.now(), ()))
            if expires <= self._clock.now():
                raise _expired(token)
        start = bisect_right(rows, token.start, key=lambda stored: stored.key)
        return self._cut(options.selection, rows, start, options.limit, version)

    def _cut(
        self, selection: Selection, rows: Sequence[Stored], start: int, limit: int, version: int
    ) -> Page:
        end = start + limit if limit else len(rows)
        shown = [view(selection.resource, stored) for stored in rows[start:end]]
        metadata: Json = {"resourceVersion": str(version)}
        if end < len(rows):
            metadata["continue"] = _encoded(_Token(version, rows[end - 1].key))
            if not selection.labels and not selection.fields:
                metadata["remainingItemCount"] = len(rows) - end
            self._keep(_key(selection, version), rows)
        return Page(shown, metadata)

    def _keep(self, key: tuple[int, str, str | None, str], rows: Sequence[Stored]) -> None:
        if key not in self._snapshots:
            self._snapshots[key] = (self._clock.now() + TOKEN_LIFE, rows)
        while len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.popitem(last=False)


def _key(selection: Selection, version: int) -> tuple[int, str, str | None, str]:
    return version, selection.resource.qualified, selection.namespace, selection.text


def _encoded(token: _Token) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode()


def _decoded(text: str) -> _Token:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Token)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise bad_request("continue key is not valid") from error


def _expired(token: _Token) -> Refused:
    message = (
        "The provided continue parameter is too old to display a consistent list result. Start a new list, or go on"
        " with the continue token of this response, whose list will not be consistent."
    )
    rest = _encoded(_Token(_ANY_VERSION, token.start))
    return Refused(410, "Expired", message, continue_token=rest)
