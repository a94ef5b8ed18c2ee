"""Waits until a drained node's jobs are gone, saying live which they are; requeues them where that was asked for.

Slurm itself moves nothing: without `requeue` a drain waits. A controller that does not answer is waited for too, until the
deadline. The rule of what is waited for, requeued or stops the drain is the plan's own (`fleet.verbs.drain_filters`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from backends.slurm.editing import NodeEditor
from backends.slurm.together import SharedReads
from fleet.errors import (
    Blocked,
    Conflict,
    Denied,
    FleetError,
    Missing,
    OutcomeUnknown,
    Rejected,
    TimedOut,
    Unreachable,
)
from fleet.node import Admission
from fleet.operation import Outcome, Progress, StepState, Waiting
from fleet.plan import MoveWork, NodeFacts, Step
from fleet.ports import Clock
from fleet.verbs.drain import describe_job
from fleet.verbs.drain_filters import Stop, sort_placements
from fleet.workload import Keeper, Placement

LOOK_PAUSES = (1.0, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Seconds between two looks at the jobs, by how many looks in a row saw nothing change."""
ASK_AGAIN = 15.0
"""Seconds before a job that was requeued and is still there is requeued again."""
NAMED = 5

_JOB = re.compile(r"\d+(?:_\d+|_\[[\d,%-]+\]|\+\d+)?\Z")


@dataclass(slots=True)
class _Asked:
    """A job that was on the node: when it may be asked to go (again), and what it said to that."""

    due: float = 0.0
    gone: bool = False
    said: str = ""


class Wait:
    """One node's jobs, until they are gone. `run` sees it to the end."""

    def __init__(
        self,
        step: Step,
        action: MoveWork,
        *,
        editor: NodeEditor,
        reads: SharedReads,
        clock: Clock,
        report: Callable[[Progress], None],
    ) -> None:
        self._step = step
        self._action = action
        self._editor = editor
        self._reads = reads
        self._clock = clock
        self._report = report
        self._jobs: dict[str, _Asked] = {}
        self._idle = 0
        self._trouble = ""
        self._last: Progress | None = None

    async def run(self) -> Outcome:
        """Return once no job is left. FAILED where a job that would be lost stops it.

        Raises TimedOut with the jobs that are left, Conflict where somebody opened the node, Denied and Missing as Slurm says.
        """
        until = self._clock.monotonic() + self._action.deadline.total_seconds()
        while True:
            outcome = await self._round()
            if outcome is not None:
                return outcome
            left = until - self._clock.monotonic()
            if left <= 0:
                raise TimedOut(self._late(), about=self._step.node.name)
            pause = LOOK_PAUSES[min(self._idle, len(LOOK_PAUSES) - 1)]
            await self._clock.sleep(timedelta(seconds=min(left, pause)))

    async def _round(self) -> Outcome | None:
        """Look, ask what may be asked, and say what is waited for. An answer where the step has ended."""
        try:
            facts = await self._facts()
            sorting = sort_placements(facts.placements, self._action.options)
            if sorting.blocked:
                return self._outcome(StepState.FAILED, self._stopped(sorting.blocked))
            self._follow(sorting.must_go)
            busy = "" if sorting.must_go else await self._still_busy()
            if not sorting.must_go and not busy:
                return self._emptied()
            await self._ask(sorting.evict)
        except (Denied, Missing, Conflict, Blocked, Rejected):
            raise
        except FleetError as error:
            self._note_trouble(error)
            return None
        self._trouble = ""
        self._say(sorting.must_go, busy)
        return None

    async def _facts(self) -> NodeFacts:
        key = self._step.node
        facts = await self._reads.facts(key)
        if facts is None:
            raise Missing("it is not there any more", about=key.name)
        if facts.node.admission is Admission.OPEN:
            raise Conflict("somebody opened it, so it will not become empty", about=key.name)
        return facts

    async def _still_busy(self) -> str:
        """What Slurm itself says of a node whose jobs are gone: they may still be ending (COMPLETING, an epilog)."""
        seen = await self._editor.see(self._step.node.name)
        return seen.state if seen.busy else ""

    def _follow(self, must_go: Iterable[Placement]) -> None:
        there = {job.uid for job in must_go}
        known = {uid for uid, asked in self._jobs.items() if not asked.gone}
        self._idle = self._idle + 1 if there == known else 0
        for uid in there - self._jobs.keys():
            self._jobs[uid] = _Asked()
        for uid in known - there:
            self._jobs[uid].gone = True

    async def _ask(self, evict: Iterable[Placement]) -> None:
        for job in evict:
            asked = self._jobs[job.uid]
            if asked.due <= self._clock.monotonic():
                asked.due = self._clock.monotonic() + ASK_AGAIN
                asked.said = await self._take_away(job)

    async def _take_away(self, job: Placement) -> str:
        """Requeue a job, or end one that can't be requeued and was given up with --force. What it said, in words."""
        if not _JOB.match(job.name):
            return "its id can't be given to Slurm"
        lost = job.keeper is Keeper.NOBODY
        whole = job.name.partition("+")[0]  # a heterogeneous job goes as one, by its first part
        argv = ("scancel", whole) if lost else ("scontrol", "requeue", whole)
        try:
            await self._editor.command(*argv, about=f"job {job.name}")
        except Missing:
            return "it has just ended"
        except (Rejected, Conflict, OutcomeUnknown, Unreachable) as error:
            return error.message
        if lost:
            return "told to end: it is lost"
        held = f"; Slurm holds it: scontrol release {whole}" if job.halted == "suspended" else ""
        return f"requeued, it ends here{held}"

    def _emptied(self) -> Outcome:
        gone = len(self._jobs)
        if not gone:
            return self._outcome(StepState.SKIPPED, "no job is on it")
        return self._outcome(StepState.DONE, f"{gone} job{'s' if gone > 1 else ''} gone")

    def _note_trouble(self, error: FleetError) -> None:
        self._idle += 1
        self._trouble = f"can't look at its jobs, trying again: {error}"
        waiting = self._last.waiting if self._last else ()
        self._tell(Progress(self._step.id, self._step.node, self._trouble, waiting, *self._count()))

    def _count(self) -> tuple[int, int]:
        return sum(asked.gone for asked in self._jobs.values()), len(self._jobs)

    def _say(self, must_go: Iterable[Placement], busy: str) -> None:
        done, total = self._count()
        waiting = tuple(self._waiting(job) for job in must_go)
        if busy:
            waiting = (Waiting(self._step.node.name, f"its last job to end: it is {busy}"),)
        says = f"{done} of {total} jobs gone" if total else f"waits: it is {busy}"
        self._tell(Progress(self._step.id, self._step.node, says, waiting, done, total))

    def _waiting(self, job: Placement) -> Waiting:
        said, ending = self._jobs[job.uid].said, job.terminating_since is not None
        own = "to be resumed and to end" if job.halted else "to end in its own time"
        on = said or ("to end" if ending else own)
        owner = f"user {job.user}" if job.user else ""
        return Waiting(f"job {describe_job(job, owned=False)}", on, owner, job.terminating_since)

    def _tell(self, progress: Progress) -> None:
        if progress != self._last:
            self._last = progress
            self._report(progress)

    def _late(self) -> str:
        waiting = self._last.waiting if self._last else ()
        left = ", ".join(f"{wait.what} of {wait.owner or 'somebody'}: {wait.on}" for wait in waiting[:NAMED])
        more = f" and {len(waiting) - NAMED} more" if len(waiting) > NAMED else ""
        why = f"; {self._trouble}" if self._trouble else ""
        deadline = f"{self._action.deadline.total_seconds():g} s"
        return f"the deadline of {deadline} passed, it stays closed; left: {left or 'unknown'}{more}{why}"

    def _stopped(self, stops: tuple[Stop, ...]) -> str:
        named = "; ".join(f"{stop.placement.label} {stop.says}: {stop.option}" for stop in stops)
        return f"nothing was requeued: {named}"

    def _outcome(self, state: StepState, says: str) -> Outcome:
        return Outcome(self._step.id, self._step.node, state, says)
