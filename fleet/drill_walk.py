"""The walk itself: where the operator is in a drill, what was observed so far, and the way on.

It presses nothing and paints nothing. A step is done by an operation of the dispatcher, whoever began it: the operator with
the ordinary keys, or `do_it`. A step is over when its checkpoint was observed on the cluster, never because a call returned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from fleet.drill import Drill, DrillStage, DrillStep, Filled
from fleet.drill_report import NOTHING, WATCHED, Checkpoint, DrillReport, Ending
from fleet.drill_sight import Seen, Sight, judge, sight_of
from fleet.drill_standing import Phase, Standing, Walker
from fleet.drill_traces import Traces, leave_no_trace, remove_leftovers
from fleet.errors import Blocked, Conflict, Denied, FleetError, Garbled, OutcomeUnknown, Rejected
from fleet.health import Verdict
from fleet.operation import OperationState
from fleet.plan import Options, Permission, Request, Verb
from fleet.runner import OperationRun

LOOK = timedelta(seconds=0.5)
"""Between two looks at the cluster."""

_FINAL = (Denied, Blocked, Rejected, Conflict)
_PERHAPS_DONE = (OutcomeUnknown, Garbled, Conflict)


class DrillWalk:
    """One walk of one drill over one node. `at` and `checkpoints` are values to read; `changed` is called after each change."""

    def __init__(self, drill: Drill, walker: Walker, changed: Callable[[], None] = lambda: None) -> None:
        self.drill = drill
        self.node = walker.ground.node
        self.steps: tuple[tuple[DrillStage, DrillStep], ...] = tuple(drill.steps())
        self.checkpoints: list[Checkpoint] = []
        self.traces = Traces()
        self.left: tuple[str, ...] = ()
        self.error: FleetError | None = None
        self.report: DrillReport | None = None
        self.walker = walker
        self._changed = changed
        self._started = walker.clock.now()
        self.at = Standing(0, Phase.OPENS, self._started)
        self._arranged = 0
        self._by = ""
        self._began = self._started
        self._since = (
            self._started
        )  # when the step began whose doing is looked at: this one, or the one that it watches
        self._run: OperationRun | None = None
        self._spent: OperationRun | None = None  # ended before the step began, and so no news to it
        self._ran = ""
        self._made = False  # whether there may be a ground to remove,
        self._sure = False  # and whether there is
        self._again = False
        self._ready = False
        self._turn = asyncio.Lock()
        self.fill = Filled(
            {
                "node": self.node.name,
                "namespace": walker.ground.namespace,
                "image": drill.image,
                "kubectl": walker.ground.outside,
            }
        )

    @property
    def stage(self) -> DrillStage:
        return self.steps[self.at.number][0]

    @property
    def step(self) -> DrillStep:
        return self.steps[self.at.number][1]

    @property
    def finished(self) -> bool:
        """Whether every checkpoint was observed."""
        return self.at.number == len(self.steps) - 1 and self.at.phase is Phase.HOLDS

    async def open(self) -> None:
        """Remove what a killed drill left, and make the ground. Where that fails the first checkpoint is stuck."""
        self.traces = await remove_leftovers(self.walker.ground, self.walker.journal, self.walker)
        self.left = self.traces.left
        await self._prepare()

    async def _prepare(self) -> None:
        before, self._made, self._sure = self._made, True, False
        try:
            await self.walker.ground.prepare()
        except FleetError as error:
            # What was refused, or sent to nobody, is not there and can't be left over.
            self._made = before or isinstance(error, _PERHAPS_DONE)
            self._stick(f"the ground can't be made: {error}", error)
            return
        self._ready = self._sure = True
        self._begin(0)

    async def look(self) -> None:
        """One look at the cluster, and what follows from it. The caller sleeps between two."""
        async with self._turn:
            await self._look()

    async def _look(self) -> None:
        if self.at.phase not in (Phase.ASKS, Phase.WAITS):
            if self.at.phase in (Phase.HOLDS, Phase.STUCK):
                await self._attend()
            return
        over = self._over()
        number = self.at.number
        try:
            await self._arrange()
            await self.walker.ground.attend()
            sight = await self._sight()
        except FleetError as error:
            self._trouble(error)
            return
        if self.at.number != number or self.at.phase not in (Phase.ASKS, Phase.WAITS):
            return
        self._judge(sight, over if over is self._run else None)
        if self._again:
            self._again = False
            await self._do(self._by)

    async def go(self) -> None:
        """Look again and again until it is left."""
        while self.at.phase not in (Phase.OVER, Phase.LEAVES):
            await self.look()
            await self.walker.clock.sleep(LOOK)

    async def alone(self, by: str = "auto") -> None:
        """Walk by itself, each step done as `n` does it, until every checkpoint was observed or one is stuck."""
        await self.open()
        while not self.finished and self.at.phase in (Phase.ASKS, Phase.WAITS, Phase.HOLDS):
            if self.at.phase is not Phase.WAITS:
                await self.do_it(by)
            await self.look()
            if self.at.phase is Phase.WAITS:
                await self.walker.clock.sleep(LOOK)

    def began(self, run: OperationRun, by: str) -> bool:
        """An operation began, by a `key` or else: whether it is this step's, or the next one's where a step is over."""
        if self.node not in run.plan.request.nodes or run is self._run:
            return False
        if self.at.phase is Phase.HOLDS and not self.finished:
            if self.next_verb is not run.plan.verb:
                return False
            self.go_on()
        if self.step.verb is not run.plan.verb or self.at.phase not in (Phase.ASKS, Phase.WAITS, Phase.STUCK):
            return False
        self._run, self._by = run, by
        self._wait()
        return True

    async def do_it(self, by: str = "n") -> None:
        """What `n` does: the step's own command, or going on where a step is over. Nothing while it waits."""
        async with self._turn:
            if self.at.phase is Phase.HOLDS:
                self.go_on()
            elif self.at.phase is Phase.STUCK and not self._ready:
                await self._prepare()
            elif self.at.phase in (Phase.ASKS, Phase.STUCK):
                await self._do(by)

    async def arrange(self) -> None:
        """Bring about what the step needs, as far as that can be done by now: before its plan is read."""
        async with self._turn:
            try:
                await self._arrange()
            except FleetError as error:
                self._trouble(error)

    @property
    def next_verb(self) -> Verb | None:
        """The verb that is waited for, or that the next step begins with where a step is over."""
        if self.at.phase is Phase.HOLDS and not self.finished:
            return self.steps[self.at.number + 1][1].verb
        return self.step.verb

    def go_on(self) -> None:
        """To the next step, where a step is over."""
        if self.at.phase is Phase.HOLDS and not self.finished:
            self._begin(self.at.number + 1)

    async def leave(self) -> DrillReport:
        """Stop what runs, remove everything the walk made, and report. Twice is once."""
        async with self._turn:
            return await self._leave()

    async def _leave(self) -> DrillReport:
        if self.report is None:
            ending, why = self._ending()
            self._set(replace(self.at, phase=Phase.LEAVES, doing="removing what the drill made"))
            if self._made:
                self.left += await leave_no_trace(
                    self.walker.ground, self.walker.dispatcher, self.node, sure=self._sure
                )
            self.report = self._report(ending, why)
            self._set(replace(self.at, phase=Phase.OVER, doing=""))
        return self.report

    def _ending(self) -> tuple[Ending, str]:
        if self.finished:
            return Ending.OBSERVED, ""
        if self.at.phase is Phase.STUCK:
            return Ending.STUCK, f"{self.stage.title}, {self.step.title}: {self.at.trouble}"
        return Ending.LEFT, f"left at {self.stage.title}, {self.step.title}"

    def _report(self, ending: Ending, why: str) -> DrillReport:
        walker = self.walker
        return DrillReport(
            drill=self.drill.name,
            title=self.drill.title,
            source=self.node.source,
            node=self.node.name,
            namespace=walker.ground.namespace,
            by=walker.by,
            started=self._started,
            ended=walker.clock.now(),
            ending=ending,
            why=why,
            steps=len(self.steps),
            checkpoints=tuple(self.checkpoints),
            left=tuple(dict.fromkeys(self.left)),
            removed=self.traces.removed,
            others=self.traces.others,
            unknown=self.traces.unknown,
            made=self._made,
        )

    def _over(self) -> OperationRun | None:
        """The operation that the walk saw last, where it has ended."""
        run = self._run
        return run if run is not None and run.operation.state is not OperationState.RUNNING else None

    def _begin(self, number: int) -> None:
        self._arranged, self._by, self._spent = 0, "", self._over()
        now = self._began = self.walker.clock.now()
        self._set(Standing(number, Phase.ASKS, now))
        if self.step.verb is not None or self.step.arrange:
            self._since = now
        if self.step.verb is None:
            self._by = WATCHED
            self._wait()

    def _wait(self) -> None:
        self.error = None
        self._set(replace(self.at, phase=Phase.WAITS, since=self.walker.clock.now(), trouble="", doing=""))

    async def _do(self, by: str) -> None:
        step, walker = self.step, self.walker
        if step.verb is None:
            self._by = self._by or WATCHED
            self._wait()
            return
        self._set(replace(self.at, doing=f"planning to {step.verb.value} {self.node.name}"))
        options = Options(image=step.image, category=self.drill.category)
        request = Request(
            step.verb,
            (self.node,),
            walker.by,
            f"drill {self.drill.name}: {step.title}",
            walker.new_id(),
            options if step.verb is Verb.PROVISION else replace(options, category=None),
        )
        try:
            await self._arrange()
            plan = await walker.dispatcher.plan(request)
            if plan.all_blockers:
                await self._must_be_allowed(step.verb, plan.all_blockers[0].says)
            run = walker.dispatcher.start(plan)
        except FleetError as error:
            self._stick(f"it can't be done: {error}", error)
            return
        if run is not self._run:
            self.began(run, by)

    async def _must_be_allowed(self, verb: Verb, says: str) -> None:
        """Tell a right that is missing from any other blocker: it raises Denied, as a refused request does."""
        if (await self.walker.reader.allowed([verb])).get(verb) is Permission.DENIED:
            raise Denied(says, about=self.node.name)

    async def _arrange(self) -> None:
        """Bring about what the step needs, in order; what can't be yet is tried again at the next look."""
        while self._arranged < len(self.step.arrange):
            if not await self.walker.ground.arrange(self.step.arrange[self._arranged]):
                return
            self._arranged += 1

    async def _attend(self) -> None:
        try:
            await self.walker.ground.attend()
        except FleetError as error:
            self._set(replace(self.at, trouble=self.at.trouble or str(error)))

    async def _sight(self) -> Sight:
        facts, pods = await asyncio.gather(self.walker.reader.read([self.node]), self.walker.ground.pods())
        return sight_of(
            self.node.name,
            facts.get(self.node),
            pods,
            self.walker.policy,
            self._ran,
            self._waits(),
            since=self._since,
        )

    def _waits(self) -> tuple[str, ...] | None:
        """What our operation on the node waits for now; None where none of ours runs."""
        run = self.walker.dispatcher.busy(self.node)
        if run is None:
            return None
        progress = run.progress.get(self.node)
        return tuple(f"waits for {each.says}" for each in progress.waiting) if progress else ()

    def _judge(self, sight: Sight, over: OperationRun | None) -> None:
        """What a look means for the step. `over` is its operation, where that had ended before the look."""
        seen = tuple(judge(expectation, sight) for expectation in self.step.expects)
        if self.at.phase is Phase.ASKS:
            self._set(replace(self.at, seen=seen))
            return
        self._set(replace(self.at, seen=seen, trouble=""))
        if all(each.met for each in seen):
            self._observed(seen, sight)
            return
        missing = "; ".join(each.says for each in seen if not each.met)
        if over is not None and self._undecided(over):
            says = f"the gate could not tell, which opens nothing ({_last(over)}): ask it again"
            self._set(replace(self.at, phase=Phase.ASKS, trouble=says))
            self._again = not self._by.startswith("key")
        elif over is not None and self._failed(over):
            self._stick(f"{over.operation.says or 'the operation failed'}: {_last(over)} ({missing})")
        elif self.walker.clock.now() - self.at.since > self.step.within:
            ended = over is not None and over.operation.state is not OperationState.DONE
            after = f" (the {over.plan.verb.value} before it ended: {_last(over)})" if over and ended else ""
            self._stick(f"not observed within {self.step.within.total_seconds():g} s: {missing}{after}")

    def _failed(self, run: OperationRun) -> bool:
        """Whether the operation of this step failed, or the one that it watches did meanwhile: waiting on is in vain."""
        mine = run.plan.verb is self.step.verb or (self.step.verb is None and run is not self._spent)
        return mine and run.operation.state is not OperationState.DONE

    def _undecided(self, run: OperationRun) -> bool:
        """Whether it ended in UNKNOWN before the step's time was up: telemetry comes late after a repair."""
        unknown = any(outcome.evidence == Verdict.UNKNOWN.value for outcome in run.operation.outcomes)
        late = self.walker.clock.now() - self._began > self.step.within
        return run.plan.verb is self.step.verb and unknown and not late

    def _observed(self, seen: Sequence[Seen], sight: Sight) -> None:
        self._ran = next(
            (
                pod.uid
                for pod in sight.pods
                if pod.phase == "Running" and pod.node == sight.node and not pod.going
            ),
            self._ran,
        )
        self._note(tuple(each.says for each in seen), observed=True)
        self._set(replace(self.at, phase=Phase.HOLDS))

    def _trouble(self, error: FleetError) -> None:
        """A look that failed: final where we may not, else tried again until the step's time is up."""
        late = self.walker.clock.now() - self.at.since > self.step.within
        if isinstance(error, _FINAL) or (late and self.at.phase is Phase.WAITS):
            self._stick(f"can't look: {error}", error)
        else:
            self._set(replace(self.at, trouble=f"can't look, trying again: {error}"))

    def _stick(self, why: str, error: FleetError | None = None) -> None:
        self.error = error
        self._note((why,), observed=False)
        self._set(replace(self.at, phase=Phase.STUCK, trouble=why, doing=""))

    def _note(self, evidence: tuple[str, ...], *, observed: bool) -> None:
        """Write the step's checkpoint down; one that was stuck and is tried again is written anew."""
        now = self.walker.clock.now()
        mine = (self.stage.title, self.step.title)
        self.checkpoints[:] = [each for each in self.checkpoints if (each.stage, each.step) != mine]
        self.checkpoints.append(
            Checkpoint(*mine, observed, evidence, self._by or NOTHING, now, now - self._began)
        )

    def _set(self, at: Standing) -> None:
        if at != self.at:
            self.at = at
            self._changed()


def _last(run: OperationRun) -> str:
    return run.operation.outcomes[-1].says if run.operation.outcomes else ""
