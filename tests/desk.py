"""A dispatcher over a lab in memory, and the shortest ways to run, stop and go on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from fleet.dispatch import Dispatcher
from fleet.journal import Record
from fleet.operation import Operation
from fleet.plan import Verb
from fleet.policy import Policy
from fleet.ports import Checker, CheckRunner
from fleet.runner import OperationRun
from tests.clocks import ManualClock
from tests.fakes import SOURCE, Lab, MemoryJournal, request


class Killed(BaseException):
    """The program was killed where this is raised."""


class Desk:
    """One operator's program. `another` is a program started later, on the same lab and the same journal."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.lab = Lab()
        self.journal = MemoryJournal()
        self.clock = ManualClock()
        self.stale: list[str] = []
        self.runners: dict[str, CheckRunner] = {}
        self.checker: Checker = self.lab
        self.dispatcher = self.another(policy)

    def another(self, policy: Policy | None = None) -> Dispatcher:
        return Dispatcher(
            readers={SOURCE: self.lab},
            writers={SOURCE: self.lab},
            checker=self.checker,
            journal=self.journal,
            clock=self.clock,
            policy=policy or Policy(),
            owner="oncall@desk",
            check_runners=self.runners,
            stale=lambda: self.stale,
            capacity=lambda: {"h100": (160, 160, 20, 0)},
        )

    async def run(self, verb: Verb, *names: str, **options: Any) -> Operation:
        """Plan and run a verb to its end, where nothing waits on the clock."""
        return await self.dispatcher.run(await self.dispatcher.plan(request(verb, *names, **options)))

    def kinds(self) -> list[tuple[str, str]]:
        """What the journal has, in order: the kind of each record and the action of its step."""
        return [(record.kind.value, record.step_id.rsplit("-", 1)[-1]) for record in self.journal.written]

    async def start(self, verb: Verb, *names: str, **options: Any) -> OperationRun:
        return self.dispatcher.start(await self.dispatcher.plan(request(verb, *names, **options)))

    async def start_and_hold(self, verb: Verb, action: str, *names: str) -> OperationRun:
        """Start, and return once a step of this action is under way and waits."""
        self.lab.holds[action] = asyncio.Event()
        run = await self.start(verb, *names)
        await self.lab.reached.wait()
        return run

    async def ended(self, operation: str = "op-1", by: Dispatcher | None = None) -> Operation:
        """The operation once it has ended, with time moving as long as it waits."""
        ending = asyncio.ensure_future((by or self.dispatcher).finished(operation))
        while not ending.done():
            await self.clock.advance(timedelta(seconds=30))
        return await ending

    async def resumed(self) -> Operation:
        """What the newest operation of the journal comes to when a later program goes on with it."""
        later = self.another()
        (found, *_) = await self.journal.operations()
        await later.resume(found)
        return await self.ended(found.id, later)

    def dies_after(self, records: int) -> None:
        """Be killed at the append that follows so many records."""
        append = self.journal.append

        async def dying(more: Sequence[Record]) -> None:
            if len(self.journal.written) >= records:
                raise Killed
            await append(more)

        self.journal.append = dying  # type: ignore[assignment, method-assign]

    def lives_again(self) -> None:
        del self.journal.append
