"""The writer of a read-only session: it has nothing behind it, so that no mistake above can reach a cluster."""

from __future__ import annotations

from collections.abc import Callable

from fleet.errors import Blocked
from fleet.operation import Effect, Outcome, Progress
from fleet.plan import Step


class NoWriter:
    """A `fleet.ports.Writer` that refuses every change. Raises Blocked."""

    def __init__(self, source: str) -> None:
        self.source = source

    async def prepare(self, step: Step) -> Step:
        raise Blocked("this session is read-only", about=step.node.name)

    async def perform(self, step: Step, progress: Callable[[Progress], None]) -> Outcome:
        raise Blocked("this session is read-only", about=step.node.name)

    async def effect_of(self, step: Step) -> Effect:
        raise Blocked("this session is read-only", about=step.node.name)
