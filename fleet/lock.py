"""The right to work on a node, which one operation at a time can have: where the orchestrator has something to make it of.

It keeps two operators from working on one node together. It closes nothing, and says nothing of admission: holds do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fleet.node import NodeKey
from fleet.verb import Verb

LOCKED = (Verb.GATE, Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE)
"""Verbs that work on a node for a while. A cordon and its end are one change each, which is read back."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Whose turn it is: `by` is the operator, `operation` theirs; `until` is when it lapses unless they keep it up."""

    by: str
    operation: str
    since: datetime | None = None
    until: datetime | None = None

    def __str__(self) -> str:
        since = f" since {self.since:%H:%M} UTC" if self.since else ""
        until = f"; its lock lapses at {self.until:%H:%M} UTC unless they keep it up" if self.until else ""
        return f"operation {self.operation} of {self.by} is at it{since}{until}"


class Locks(Protocol):
    """The locks of one source's nodes. A lock of a program that died lapses by itself."""

    async def take(self, node: NodeKey, operation: str, by: str) -> str:
        """Have the node's lock until `give_back`; taking what the same operation has is having it.

        Empty where it is had; else in words why no lock is to be had here, so that two operators are detected, not excluded.
        Raises Conflict naming who has it, and FleetError where that can't be told.
        """
        ...

    def expect(self, node: NodeKey, operation: str) -> None:
        """Raise Conflict where the lock that was taken lapsed and somebody else has it now. Asks nobody."""
        ...

    async def give_back(self, node: NodeKey, operation: str) -> None:
        """Let others have it. It never fails: a lock that can't be given back lapses."""
        ...
