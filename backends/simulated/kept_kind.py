"""The objects of one resource: by key, in order, and with the events that a late watch may ask for."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

from backends.simulated.versions import Event, Stored


class KeptKind:
    """What the store keeps of one resource; `history` is how many of its latest events."""

    __slots__ = ("_keys", "_ordered", "forgotten", "history", "stored")

    def __init__(self, history: int) -> None:
        self.stored: dict[str, Stored] = {}
        self.history: deque[Event] = deque(maxlen=history)
        self.forgotten = 0
        self._keys: list[str] = []
        self._ordered = True

    def keys(self) -> list[str]:
        """Every key in order: namespace and name, as etcd sorts them. Not to be changed."""
        if not self._ordered:
            self._keys = sorted(self.stored)
            self._ordered = True
        return self._keys

    def insert(self, stored: Stored) -> None:
        """Add an object whose key is new."""
        self.stored[stored.key] = stored
        if self._keys and self._ordered:
            insort(self._keys, stored.key)
        else:
            # A fleet being loaded: one sort at the first list beats 150,000 insertions.
            self._ordered = False

    def remove(self, key: str) -> Stored:
        """Take an object out; its last version is the answer."""
        if self._ordered:
            del self._keys[bisect_left(self._keys, key)]
        return self.stored.pop(key)

    def remember(self, event: Event) -> None:
        """Add an event to the history, forgetting the oldest where it is full."""
        if len(self.history) == self.history.maxlen:
            self.forgotten = self.history[0].version
        self.history.append(event)
