"""One step done once: its intent in the journal, the call, what is unknown read back, its outcome in the journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any, Protocol, TypeVar

from fleet.backoff import Backoff
from fleet.category import RECREATE
from fleet.errors import Denied, FleetError, OutcomeUnknown, Throttled, TimedOut, Unreachable
from fleet.journal import Kind
from fleet.operation import Effect, Outcome, Progress, StepState
from fleet.plan import AwaitBoot, MoveWork, PutImage, Step
from fleet.ports import Clock, Writer
from fleet.stopping import Stop, Stopped, StopSignal

READ_BACK_FOR = timedelta(minutes=2)
"""How long a lost outcome is read back, with pauses, before the step is parked as unknown."""

PAUSE = timedelta(seconds=5)
"""Between two looks at something that is not there yet."""

TRIED_FOR = timedelta(minutes=5)
"""How long a call is made again where the server is away or slows us down, before its step fails, to be resumed."""

LONGEST_PAUSE = timedelta(minutes=1)

AWAY = "away"
"""The evidence of a step that failed because its call could not be made for as long as it was worth making."""

TOO_LATE = "cancelled too late: it took effect"
"""What is said of a step that took effect though its operation was cancelled under it."""

ENDED_WELL = (StepState.DONE, StepState.SKIPPED)


T = TypeVar("T")


class Journaling(Protocol):
    """Writes one step's intent (with the step as prepared) or outcome; durable on return. Raises JournalFailed."""

    def __call__(self, kind: Kind, outcome: Outcome, *, step: Step | None = None) -> Awaitable[None]: ...


class _Patience:
    """How much longer one step's call is made again, and after which pause.

    The pauses are spread by the step's name, so that the nodes of an operation don't come back at one moment.
    """

    def __init__(self, clock: Clock, step: Step, within: timedelta) -> None:
        self._clock = clock
        self._step = step
        self._within = within
        self._began = clock.monotonic()
        self._backoff = Backoff(Random(step.id))  # noqa: S311 - jitter

    @property
    def left(self) -> timedelta:
        return self._within - timedelta(seconds=self._clock.monotonic() - self._began)

    @property
    def spent(self) -> str:
        return _minutes(self._within - self.left)

    def pause(self, error: FleetError) -> timedelta | None:
        """How long to wait before the next try; None where it would come too late."""
        wanted = error.retry_after if isinstance(error, Throttled) else None
        pause = self._backoff.wait(min(wanted or timedelta(0), LONGEST_PAUSE))
        return pause if pause <= self.left else None

    def says(self, error: FleetError, pause: timedelta) -> Progress:
        again = f"trying again in {_minutes(pause)}, for at most {_minutes(self.left)}"
        return Progress(self._step.id, self._step.node, f"{error}; {again}")


def _minutes(span: timedelta) -> str:
    seconds = max(1, round(span.total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


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
            ready = step if prepared else await self.stop.unless(self._prepared(step))
        except FleetError as error:
            return await self.end(step, StepState.FAILED, str(error), error)
        return await self.ended(await self.attempt(ready))

    async def attempt(self, step: Step, *, ending: bool = False, within: timedelta = TRIED_FOR) -> Outcome:
        """Journal the intent and do the step; its outcome is the caller's to journal. An `ending` heeds no stop.

        No call is made later than `within`: then it FAILED, AWAY. Raises Stopped where it did not take effect, or nobody can tell.
        """
        await self.journal(Kind.INTENT, Outcome(step.id, step.node, StepState.INTENDED, step.says), step=step)
        self.progress(Progress(step.id, step.node, step.says))
        try:
            return await self._answered(step, _Patience(self.clock, step, within), ending=ending)
        except Stopped:
            if self.stop.why is Stop.CANCEL and await self.took(step):
                return _outcome(step, StepState.DONE, TOO_LATE)
            raise

    async def read_back(
        self, step: Step, *, ending: bool = False, within: timedelta = READ_BACK_FOR
    ) -> Effect:
        """TOOK or NOT as soon as it can be told; UNKNOWN after the deadline. Raises Stopped."""
        until = self.clock.monotonic() + within.total_seconds()
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

    async def patiently(self, call: Callable[[], Coroutine[Any, Any, T]], step: Step) -> T:
        """The answer of `call`, which only reads; asked again for a while where the server is away or asks us to slow down."""
        patience = _Patience(self.clock, step, TRIED_FOR)
        while True:
            try:
                return await call()
            except (Unreachable, Throttled) as error:
                pause = patience.pause(error)
                if pause is None:
                    raise
                self.progress(patience.says(error, pause))
                await self.clock.sleep(pause)

    async def _prepared(self, step: Step) -> Step:
        return await self.patiently(lambda: self.writer.prepare(step), step)

    async def pause(self) -> None:
        await self.clock.sleep(PAUSE)

    async def _answered(self, step: Step, patience: _Patience, *, ending: bool) -> Outcome:
        """Make the call until it is answered, the node tells how it ended, or patience is over. Raises Stopped."""
        while True:
            try:
                call = self.writer.perform(step, self.progress)
                outcome = await (call if ending else self.stop.unless(call))
            except (OutcomeUnknown, Unreachable, Throttled) as error:
                told = await self._told(step, error, patience, ending=ending)
                if told is not None:
                    return told
            except FleetError as error:
                return _outcome(step, StepState.FAILED, str(error), error)
            else:
                return _outcome(step, outcome.state, outcome.says or step.says, evidence=outcome.evidence)

    async def _told(
        self, step: Step, error: FleetError, patience: _Patience, *, ending: bool
    ) -> Outcome | None:
        """How a call ended that was not answered, from the node itself; None, after a pause, where it is to be made again."""
        effect = Effect.NOT
        if not isinstance(error, Throttled):
            within = max(READ_BACK_FOR, patience.left)
            effect = await self.read_back(step, ending=ending, within=within)
        if effect is Effect.TOOK:
            return _outcome(step, StepState.DONE, "the answer was lost; read back: it took effect")
        lost = isinstance(error, OutcomeUnknown)
        if effect is Effect.UNKNOWN:
            if lost or isinstance(step.action, PutImage):
                return _outcome(step, StepState.UNKNOWN, f"outcome unknown: {error}")
            return _outcome(step, StepState.FAILED, str(error), error, evidence=AWAY)
        if lost and isinstance(step.action, PutImage) and step.action.imager != RECREATE:
            return _outcome(step, StepState.FAILED, f"{error}; read back: it did not take effect")
        pause = patience.pause(error)
        if pause is None:
            says = f"{error}; tried for {patience.spent}"
            return _outcome(step, StepState.FAILED, says, error, evidence=AWAY)
        self.progress(patience.says(error, pause))
        wait = self.clock.sleep(pause)
        await (wait if ending else self.stop.unless(wait))
        return None

    async def _look(self, step: Step) -> Effect:
        try:
            return await self.writer.effect_of(step)
        except FleetError as error:
            self.progress(Progress(step.id, step.node, f"reading back whether it took effect: {error}"))
            return Effect.UNKNOWN

    async def took(self, step: Step) -> bool:
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
