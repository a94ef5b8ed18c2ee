"""How a node is left when its steps end early: closed with the failed step named on it, put back as it was found, or open with
nothing of ours on it where somebody else opened it under us.

What is done is told from the node itself, by whether our hold stands there: never from how far we think we came.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleet.errors import Conflict, FleetError
from fleet.health import Verdict
from fleet.holder import Hold
from fleet.node import Admission, Node, Stage
from fleet.operation import Outcome, Progress, StepState
from fleet.performing import ENDED_WELL, READ_BACK_FOR, Performer
from fleet.plan import Check, Close, NodePlan, Plan, PutImage, Release, Step, Verb
from fleet.ports import Reader

_BEHIND_THE_GATE = (Stage.PROVISIONING, Stage.GATED, Stage.REIMAGING, Stage.QUARANTINED)


@dataclass(frozen=True, slots=True)
class Endings:
    """The endings of one node's share of a plan."""

    reader: Reader
    performer: Performer
    plan: Plan
    node: NodePlan

    async def failed(self, step: Step, outcome: Outcome) -> None:
        """Write on a node that we hold closed which step failed and why; take our hold off one that somebody opened.

        A verdict says so itself; a first step closed nothing.
        """
        if step.id == self.node.steps[0].id:
            return
        judged = isinstance(step.action, Check) and outcome.evidence in {verdict.value for verdict in Verdict}
        try:
            if judged:
                await self._off_if_opened(step, self._stage_when_opened(step))
            else:
                await self._named_or_off(step, outcome.says, self._stage_of_a_failure(step))
        except FleetError as error:
            says = f"{outcome.says}; and it could not be named on the node: {error}"
            self.performer.progress(Progress(step.id, step.node, says))

    async def passed(self, step: Step) -> None:
        """Take our hold off a node that passed its gate once somebody had opened it: the verdict leaves it there."""
        try:
            await self._off_if_opened(step, Stage.IN_SERVICE)
        except FleetError as error:
            says = f"it passed, and our hold could not be taken off it: {error}"
            self.performer.progress(Progress(step.id, step.node, says))

    async def cancelled(self, step: Step) -> StepState:
        """Put a cancelled drain back as it was found; leave any other verb's node closed, with the step named.

        FAILED where it could not be put back, UNKNOWN where it may have been deleted and not made again, else CANCELLED.
        Doing it twice is doing it once.
        """
        if isinstance(step.action, PutImage) and not await self._is_there(step):
            return await self._made_again(step)
        await self.performer.end(step, StepState.CANCELLED, "cancelled")
        return await self.after_cancel(step)

    async def after_cancel(self, step: Step, *, stays_closed: bool = False) -> StepState:
        """What a cancel does to the node of `step`, once it is journalled. With `stays_closed` nothing is put back."""
        try:
            node = await self.held_for_sure(step)
            if node is None:
                return StepState.CANCELLED
            if self.plan.verb is Verb.DRAIN and not stays_closed and not fails_its_gate(node):
                return await self._put_back(step)
            await self._named_or_off(step, "cancelled", self._stage_before_retiring(step))
        except FleetError as error:
            says = f"cancelled; it stays closed, and that could not be named on it: {error}"
            self.performer.progress(Progress(step.id, step.node, says))
            if self.plan.verb is Verb.DRAIN:
                ending = replace(step, id=f"{step.node}/restore")
                says = f"it could not be put back as it was found, uncordon it: {error}"
                await self.performer.end(ending, StepState.FAILED, says, error)
                return StepState.FAILED
        return StepState.CANCELLED

    async def _is_there(self, step: Step) -> bool:
        """Whether the node is seen to be there. An imager that makes it anew may have been stopped after the delete."""
        try:
            return step.node in await self.reader.read([step.node], work=False)
        except FleetError:
            return False

    async def _made_again(self, step: Step) -> StepState:
        """Finish what a cancel came in the middle of, where it is known how; else leave it to be resumed, and not as cancelled."""
        if step.before.manifest:
            outcome = await self.performer.ended(await self.performer.attempt(step, ending=True))
            if outcome.state in ENDED_WELL:
                return await self.after_cancel(step)
        says = "cancelled while its image was put on: it is not seen to be there, and resuming makes it"
        await self.performer.end(step, StepState.UNKNOWN, says)
        return StepState.UNKNOWN

    async def _put_back(self, step: Step) -> StepState:
        """Lift the drain's own hold: the node opens where nobody else closed it."""
        first = self.node.steps[0]
        wrote = isinstance(first.action, Close) and first.action.stage is not None
        found = first.before.stage if first.before.unschedulable else None
        release = Release(
            operations=(self.plan.request.operation,),
            stage=(found or Stage.IN_SERVICE) if wrote else None,
        )
        says = f"put {step.node.name} back as it was found"
        ending = replace(step, id=f"{step.node}/restore", action=release, says=says)
        outcome = await self.performer.ended(await self.performer.attempt(ending, ending=True))
        if outcome.state in ENDED_WELL:
            return StepState.CANCELLED
        await self.failed(step, replace(outcome, says=f"cancelled, not put back: {outcome.says}"))
        return StepState.FAILED

    async def _named_or_off(self, step: Step, says: str, stage: Stage | None) -> None:
        """Name a failure on a node that we hold closed, or take our hold off an open one: the other where it changed under that.

        Which of the two it is by then the writer tells: a cordon's taint outlives the cordon for a moment.
        """
        node = await self._held(step)
        if node is None:
            return
        opened, open_stage = node.admission is Admission.OPEN, self._stage_when_opened(step)
        try:
            await (self._take_off(step, open_stage) if opened else self._name(step, says, stage))
        except Conflict:
            if await self._held(step) is not None:
                await (self._name(step, says, stage) if opened else self._take_off(step, open_stage))

    async def _off_if_opened(self, step: Step, stage: Stage | None) -> None:
        node = await self._held(step)
        if node is not None and node.admission is Admission.OPEN:
            await self._take_off(step, stage)

    async def _take_off(self, step: Step, stage: Stage | None) -> None:
        """Take what is ours off a node that somebody else opened, and leave it open. Raises Conflict where it is closed by then."""
        release = Release(operations=(self.plan.request.operation,), stage=stage, as_it_stands=True)
        says = f"take our hold off {step.node.name}, which somebody opened"
        ending = replace(step, id=f"{step.node}/let-go", action=release, says=says)
        outcome = await self.performer.ended(await self.performer.attempt(ending, ending=True))
        if outcome.state not in ENDED_WELL:
            raise Conflict(outcome.says, about=step.node.name)

    async def _name(self, step: Step, says: str, stage: Stage | None) -> None:
        """Bring our hold up to date with the step and what became of it. Raises FleetError; Conflict where it was lifted."""
        hold = self._own_hold()
        if hold is None:
            return
        told = replace(hold, step=step.id.rsplit("/", 1)[-1], reason=f"{hold.reason} ({step.says}: {says})")
        action = Close(told, stage=stage, gate=stage is Stage.QUARANTINED and self._gates(), again=True)
        naming = replace(step, id=f"{step.node}/name-failure", action=action)
        await self.performer.writer.perform(naming, lambda progress: None)

    async def _held(self, step: Step) -> Node | None:
        """The node, where our hold stands on it: one that somebody opened or took over is theirs now. Raises FleetError."""
        facts = (await self.reader.read([step.node], work=False)).get(step.node)
        operation = self.plan.request.operation
        if facts is None or not any(hold.operation == operation for hold in facts.node.holds):
            return None
        return facts.node

    async def held_for_sure(self, step: Step) -> Node | None:
        """The node, where our hold stands on it; tried again for as long as an outcome is read back. Raises FleetError."""
        clock = self.performer.clock
        until = clock.monotonic() + READ_BACK_FOR.total_seconds()
        while True:
            try:
                return await self._held(step)
            except FleetError as error:
                if clock.monotonic() >= until:
                    raise
                self.performer.progress(Progress(step.id, step.node, f"cancelled; can't see it yet: {error}"))
            await self.performer.pause()

    def _own_hold(self) -> Hold | None:
        return next((step.action.hold for step in self.node.steps if isinstance(step.action, Close)), None)

    def _gates(self) -> bool:
        """Whether this plan closes the node behind the gate's taint."""
        return any(isinstance(step.action, Close) and step.action.gate for step in self.node.steps)

    def _stage_of_a_failure(self, step: Step) -> Stage | None:
        imaging = self._from_imaging_on()
        if not imaging or isinstance(step.action, Check):
            return self._stage_before_retiring(step)
        return Stage.QUARANTINED if step.id in imaging else None

    def _from_imaging_on(self) -> frozenset[str]:
        """The steps from the one that puts an image on the node, by id."""
        steps = self.node.steps
        at = next((at for at, each in enumerate(steps) if isinstance(each.action, PutImage)), len(steps))
        return frozenset(each.id for each in steps[at:])

    def _stage_when_opened(self, step: Step) -> Stage | None:
        """What a node is that somebody opened: in service, or what it was behind a gate that it has not passed.

        None leaves what is written.
        """
        first = self.node.steps[0]
        if not (isinstance(first.action, Close) and first.action.stage is not None):
            return None
        if step.id in self._from_imaging_on():
            return None
        return first.before.stage if first.before.stage in _BEHIND_THE_GATE else Stage.IN_SERVICE

    def _stage_before_retiring(self, step: Step) -> Stage | None:
        """A retirement that ended early is an unfinished drain, and no way round the gate."""
        if self.plan.verb is not Verb.RETIRE:
            return None
        found = step.before.stage
        return found if found in (*_BEHIND_THE_GATE, Stage.DRAINED) else Stage.DRAINING


def fails_its_gate(node: Node) -> bool:
    """Whether the last gate's verdict on the node is FAIL."""
    return node.gate is not None and node.gate.verdict is Verdict.FAIL
