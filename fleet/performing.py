"""One step done once: its intent in the journal, the call, what is unknown read back, its outcome in the journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from fleet.errors import Denied, FleetError, OutcomeUnknown, Throttled, TimedOut
from fleet.journal import Kind
from fleet.operation import Effect, Outcome, Progress, StepState
from fleet.plan import AwaitBoot, MoveWork, Step
from fleet.ports import Clock, Writer
from fleet.stopping import Stop, Stopped, StopSignal

READ_BACK_FOR = timedelta(minutes=2)
"""How long a lost outcome is read back, with pauses, before the step is parked as unknown."""

PAUSE = timedelta(seconds=5)
"""Between two looks at something that is not there yet."""

SLOWED_DOWN = 5
"""How often a server may ask us to slow down before a step fails by it."""

LONGEST_PAUSE = timedelta(minutes=1)

ENDED_WELL = (StepState.DONE, StepState.SKIPPED)


T = TypeVar("T")


class Journaling(Protocol):
    """Writes one step's intent (with the step as prepared) or outcome; durable on return. Raises JournalFailed."""

    def __call__(self, kind: Kind, outcome: Outcome, *, step: Step | None = None) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Performer:
    """Does steps through one source's writer."""

    writer: Writer
    clock: Clock
    journal: Journaling
    progress: Callable[[Progress], None]
    stop: StopSignal

    async def do(self, step: Step, *, prepared: bool = False) -> Outcome:
        """Prepare the step unless it was, do it, and journal its outcome. Raises Stopped, JournalFailed."""
        try:
            ready = step if prepared else await self.stop.unless(self._prepare(step))
        except FleetError as error:
            return await self.end(step, StepState.FAILED, str(error), error)
        return await self.ended(await self.attempt(ready))

    async def attempt(self, step: Step, *, ending: bool = False) -> Outcome:
        """Journal the intent and do the step; its outcome is the caller's to journal. An `ending` heeds no stop.

        Raises Stopped where it did not take effect, or nobody can tell.
        """
        await self.journal(Kind.INTENT, Outcome(step.id, step.node, StepState.INTENDED, step.says), step=step)
        self.progress(Progress(step.id, step.node, step.says))
        try:
            call = self.patiently(lambda: self.writer.perform(step, self.progress))
            outcome = await (call if ending else self.stop.unless(call))
        except OutcomeUnknown as error:
            return await self._told(step, error, ending=ending)
        except FleetError as error:
            return _outcome(step, StepState.FAILED, str(error), error)
        except Stopped:
            if self.stop.why is Stop.CANCEL and await self._took(step):
                return _outcome(step, StepState.DONE, "cancelled too late: it took effect")
            raise
        return _outcome(step, outcome.state, outcome.says or step.says, evidence=outcome.evidence)

    async def read_back(self, step: Step, *, ending: bool = False) -> Effect:
        """TOOK or NOT as soon as it can be told; UNKNOWN after the deadline. Raises Stopped."""
        until = self.clock.monotonic() + READ_BACK_FOR.total_seconds()
        while True:
            look = self._look(step)
            effect = await (look if ending else self.stop.unless(look))
            if effect is not Effect.UNKNOWN or self.clock.monotonic() >= until:
                return effect
            pause = self.pause()
            await (pause if ending else self.stop.unless(pause))

    async def end(
        self, step: Step, state: StepState, says: str, error: FleetError | None = None, *, evidence: str = ""
    ) -> Outcome:
        """Journal an outcome of the step, and show it."""
        return await self.ended(_outcome(step, state, says, error, evidence=evidence))

    async def ended(self, outcome: Outcome) -> Outcome:
        """Journal `outcome`, and show it."""
        await self.journal(Kind.OUTCOME, outcome)
        self.progress(Progress(outcome.step_id, outcome.node, outcome.says))
        return outcome

    async def patiently(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer of `call`, asked again a few times where the server asks us to slow down: it has done nothing then."""
        for _ in range(SLOWED_DOWN):
            try:
                return await call()
            except Throttled as error:
                await self.clock.sleep(min(error.retry_after or PAUSE, LONGEST_PAUSE))
        return await call()

    async def _prepare(self, step: Step) -> Step:
        return await self.patiently(lambda: self.writer.prepare(step))

    async def pause(self) -> None:
        await self.clock.sleep(PAUSE)

    async def _told(self, step: Step, error: OutcomeUnknown, *, ending: bool) -> Outcome:
        effect = await self.read_back(step, ending=ending)
        if effect is Effect.TOOK:
            return _outcome(step, StepState.DONE, "the answer was lost; read back: it took effect")
        if effect is Effect.NOT:
            return _outcome(step, StepState.FAILED, f"{error}; read back: it did not take effect")
        return _outcome(step, StepState.UNKNOWN, f"outcome unknown: {error}")

    async def _look(self, step: Step) -> Effect:
        try:
            return await self.writer.effect_of(step)
        except FleetError as error:
            self.progress(Progress(step.id, step.node, f"reading back whether it took effect: {error}"))
            return Effect.UNKNOWN

    async def _took(self, step: Step) -> bool:
        """Whether a step that was stopped under way took effect all the same. Waits are not asked: nothing hangs on it."""
        if isinstance(step.action, MoveWork | AwaitBoot):
            return False
        return await self.read_back(step, ending=True) is Effect.TOOK


def _outcome(
    step: Step, state: StepState, says: str, error: FleetError | None = None, *, evidence: str = ""
) -> Outcome:
    if isinstance(error, Denied):
        evidence = "denied"
    elif isinstance(error, TimedOut):
        evidence = "deadline"
    return Outcome(step.id, step.node, state, says, evidence)
