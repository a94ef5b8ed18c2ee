"""Readers and writers of several sources as one of each: a machine of two sources is worked on step by step, each at its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fleet.lock import Locks
from fleet.node import NodeKey
from fleet.operation import Effect, Outcome, Progress
from fleet.plan import NodeFacts, Permission, SourceIdentity, Step, Verb
from fleet.ports import Reader, Writer
from fleet.read_only import NoWriter


class RoutedReader:
    """A `fleet.ports.Reader` that asks the source of each node. Who it is and what is allowed are the `first` source's."""

    def __init__(self, readers: Mapping[str, Reader], first: str) -> None:
        self._readers = readers
        self.source = first

    async def identity(self) -> SourceIdentity:
        return await self._readers[self.source].identity()

    async def read(self, nodes: Sequence[NodeKey], *, work: bool = True) -> Mapping[NodeKey, NodeFacts]:
        found: dict[NodeKey, NodeFacts] = {}
        for source in dict.fromkeys(key.source for key in nodes):
            keys = [key for key in nodes if key.source == source]
            found.update(await self._readers[source].read(keys, work=work))
        return found

    async def allowed(self, verbs: Sequence[Verb]) -> Mapping[Verb, Permission]:
        return await self._readers[self.source].allowed(verbs)


class RoutedWriter:
    """A `fleet.ports.Writer` that does each step at the source of its node. It refuses where there is none."""

    def __init__(self, writers: Mapping[str, Writer], first: str) -> None:
        self._writers = writers
        self.source = first

    async def prepare(self, step: Step) -> Step:
        return await self._of(step).prepare(step)

    async def perform(self, step: Step, progress: Callable[[Progress], None]) -> Outcome:
        return await self._of(step).perform(step, progress)

    async def effect_of(self, step: Step) -> Effect:
        return await self._of(step).effect_of(step)

    def _of(self, step: Step) -> Writer:
        return self._writers.get(step.node.source) or NoWriter(step.node.source)


class SideLocks:
    """`fleet.lock.Locks` of a machine: the locks of those of its sides whose source has any."""

    def __init__(self, locks: Mapping[str, Locks], sides: Sequence[NodeKey]) -> None:
        self._locked = [(locks[side.source], side) for side in sides if side.source in locks]

    async def take(self, node: NodeKey, operation: str, by: str) -> str:
        told = [await locks.take(side, operation, by) for locks, side in self._locked]
        return "; ".join(filter(None, told))

    def expect(self, node: NodeKey, operation: str) -> None:
        for locks, side in self._locked:
            locks.expect(side, operation)

    async def give_back(self, node: NodeKey, operation: str) -> None:
        for locks, side in self._locked:
            await locks.give_back(side, operation)
