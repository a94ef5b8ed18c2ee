"""Moves the work off a node: evicts within the rules, says live what each pod waits for, and ends at its deadline.

The eviction API alone takes DaemonSet and mirror pods too, so the filters are ours (`fleet.verbs.drain_filters`). A budget
answers 429, two budgets over one pod 500, another pod of that name 409, one that is gone 404 (measured on 1.36).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

import msgspec

from backends.kubernetes.connection import Api
from backends.kubernetes.errors import BudgetHolds
from backends.kubernetes.guarded import NodeEditor, denial_may_pass, to_its_end
from backends.kubernetes.last_writer import written_since
from backends.kubernetes.node_edit import NodeObject
from fleet.errors import Blocked, Conflict, Denied, FleetError, Missing, Rejected, Throttled, TimedOut
from fleet.node import Admission, Readiness
from fleet.operation import Outcome, Progress, StepState, Waiting
from fleet.plan import MoveWork, NodeFacts, Step
from fleet.ports import Clock, Reader
from fleet.verbs.drain_filters import Sorted, Stop, sort_placements
from fleet.workload import Placement

AT_ONCE = 10
BUDGET_PAUSE = timedelta(seconds=5)
"""kubectl's pause between two tries at a pod that a budget holds."""
LOOK_PAUSES = (1.0, 1.0, 2.0, 2.0, 3.0, 5.0)
"""Seconds between two looks at the node, by how many looks in a row saw nothing move."""
NAMED = 5


@dataclass(slots=True)
class _Try:
    """How far we are with one pod: when it may be asked next, and what it waits for since when."""

    due: float = 0.0
    gone: bool = False
    asked: bool = False
    on: str = ""
    owner: str = ""
    since: datetime | None = None


class Move:
    """One node's work being moved away. `run` does it to the end."""

    def __init__(
        self,
        step: Step,
        action: MoveWork,
        *,
        api: Api,
        reader: Reader,
        editor: NodeEditor,
        clock: Clock,
        report: Callable[[Progress], None],
    ) -> None:
        self._step = step
        self._action = action
        self._api = api
        self._reader = reader
        self._editor = editor
        self._clock = clock
        self._report = report
        self._tries: dict[str, _Try] = {}
        self._trouble = ""
        self._idle = 0
        self._refused: FleetError | None = None
        self._looked: float | None = None  # when a look last succeeded
        self._last: Progress | None = None

    async def run(self) -> Outcome:
        """Evict until nothing that must go is left. FAILED where a filter stops it.

        Raises TimedOut with what is left, Conflict where somebody opened the node, Denied and Rejected as the server says.
        """
        until = self._clock.monotonic() + self._action.deadline.total_seconds()
        while True:
            outcome = await self._round()
            if outcome is not None:
                return outcome
            left = until - self._clock.monotonic()
            if left <= 0:
                raise TimedOut(self._late(), about=self._step.node.name)
            await self._clock.sleep(timedelta(seconds=min(left, self._pause())))

    async def _round(self) -> Outcome | None:
        """Look, ask what may be asked now, and say what is waited for. An answer where the step has ended."""
        try:
            facts = await self._facts()
        except (Missing, Conflict, Blocked, Rejected):
            raise
        except FleetError as error:
            if isinstance(error, Denied) and not denial_may_pass(self._clock, self._looked):
                raise
            self._note_trouble(error)
            return None
        self._trouble, self._looked = "", self._clock.monotonic()
        sorting = sort_placements(facts.placements, self._action.options)
        if sorting.blocked:
            return self._outcome(StepState.FAILED, self._stopped(sorting.blocked))
        self._follow(sorting.must_go)
        if not sorting.must_go:
            gone = len(self._tries)
            if not gone:
                return self._outcome(StepState.SKIPPED, "nothing to move")
            return self._outcome(StepState.DONE, f"{gone} moved" if gone > 1 else "1 moved")
        await self._ask(sorting.evict)
        if self._refused is not None:
            raise self._refused
        self._say(facts, sorting)
        return None

    async def _facts(self) -> NodeFacts:
        key, before = self._step.node, self._step.before
        facts = (await self._reader.read([key])).get(key)
        if facts is None:
            raise Missing("it is not there any more", about=key.name)
        if before.uid and facts.node.uid != before.uid:
            raise Conflict(
                "another machine has this name now than the one that was planned for", about=key.name
            )
        if facts.node.admission is Admission.OPEN:
            raise self._opened(await self._node())
        return facts

    async def _node(self) -> NodeObject | None:
        """The Node now; None where it can't be read, which the next look says."""
        try:
            return await self._editor.read(self._step.node.name)
        except FleetError:
            return None

    def _opened(self, node: NodeObject | None) -> Conflict:
        who = "" if node is None else written_since(node)
        says = f"somebody opened it{who}, so its work is not moved any further"
        return Conflict(says, about=self._step.node.name)

    def _follow(self, must_go: Iterable[Placement]) -> None:
        """Keep count of every pod that had to go; one that appears or goes means that something moves."""
        there = {placement.uid for placement in must_go}
        known = {uid for uid, attempt in self._tries.items() if not attempt.gone}
        self._idle = self._idle + 1 if there == known else 0
        for uid in there - self._tries.keys():
            self._tries[uid] = _Try()
        for uid in known - there:
            self._tries[uid].gone = True

    async def _ask(self, evict: Iterable[Placement]) -> None:
        """Ask for those that are due, a few at once, each few only while the node is seen closed. Raises Conflict."""
        now = self._clock.monotonic()
        due = [placement for placement in evict if self._tries[placement.uid].due <= now]
        for at in range(0, len(due), AT_ONCE):
            node = await self._node()
            if node is None or self._refused is not None:
                return
            if not self._editor.closed(node):
                raise self._opened(node)
            async with asyncio.TaskGroup() as group:
                for placement in due[at : at + AT_ONCE]:
                    group.create_task(self._evict(placement))

    async def _evict(self, placement: Placement) -> None:
        attempt = self._tries[placement.uid]
        path = (
            f"/api/v1/namespaces/{quote(placement.namespace, safe='')}"
            f"/pods/{quote(placement.name, safe='')}/eviction"
        )
        try:
            await to_its_end(self._api.send("POST", path, eviction(placement, self._action.options.grace)))
        except BudgetHolds as error:
            self._hold_back(attempt, placement, error)
        except (Missing, Conflict):
            attempt.due = self._in(LOOK_PAUSES[0])
        except Throttled as error:
            self._later(attempt, "the API server asks us to slow down", error.retry_after or BUDGET_PAUSE)
        except (Denied, Rejected) as error:
            self._refused = error
        except FleetError as error:
            self._later(attempt, f"the API server: {error.message}", BUDGET_PAUSE)
        else:
            attempt.asked, attempt.on, attempt.owner, attempt.since = True, "", "", None
            attempt.due = self._in(BUDGET_PAUSE.total_seconds())

    def _hold_back(self, attempt: _Try, placement: Placement, error: BudgetHolds) -> None:
        names = ", ".join(f"{budget.namespace}/{budget.name}" for budget in placement.budgets)
        if len(placement.budgets) > 1 or "more than one PodDisruptionBudget" in error.message:
            on = f"more than one budget covers it ({names or 'unknown'}): Kubernetes never evicts it so; one must go"
        else:
            causes = [_in_our_words(cause, placement.namespace) for cause in error.causes]
            on = "; ".join(causes) or f"budget {names}"
        attempt.owner = ", ".join(dict.fromkeys(budget.whose for budget in placement.budgets))
        self._later(attempt, on, error.retry_after or BUDGET_PAUSE)

    def _later(self, attempt: _Try, on: str, pause: timedelta) -> None:
        attempt.on, attempt.since = on, attempt.since or self._clock.now()
        attempt.due = self._in(pause.total_seconds())

    def _in(self, seconds: float) -> float:
        return self._clock.monotonic() + seconds

    def _note_trouble(self, error: FleetError) -> None:
        self._idle += 1
        self._trouble = f"can't look at the node, trying again: {error}"
        waiting = self._last.waiting if self._last else ()
        done, total = self._count()
        self._tell(Progress(self._step.id, self._step.node, self._trouble, waiting, done, total))

    def _count(self) -> tuple[int, int]:
        return sum(attempt.gone for attempt in self._tries.values()), len(self._tries)

    def _say(self, facts: NodeFacts, sorting: Sorted) -> None:
        done, total = self._count()
        waiting = tuple(self._waiting(facts, placement) for placement in sorting.must_go)
        held = sum(bool(self._tries[placement.uid].on) for placement in sorting.evict)
        says = f"{done} of {total} gone" + (f", {held} held back" if held else "")
        self._tell(Progress(self._step.id, self._step.node, says, waiting, done, total))

    def _waiting(self, facts: NodeFacts, placement: Placement) -> Waiting:
        attempt = self._tries[placement.uid]
        if facts.node.readiness is Readiness.UNKNOWN and (attempt.asked or placement.terminating_since):
            says = "the node is unreachable: its eviction can't finish"
            return Waiting(placement.label, says, "", placement.terminating_since)
        if attempt.on:
            return Waiting(placement.label, attempt.on, attempt.owner, attempt.since)
        if placement.terminating_since is None:
            on = "to stop: it was asked to" if attempt.asked else "its turn"
            return Waiting(placement.label, on, "", attempt.since)
        late = self._clock.now() - placement.terminating_since - placement.grace
        says = (
            "to stop"
            if late < timedelta(minutes=1)
            else "to stop, past its grace: a finalizer, or the node's agent"
        )
        return Waiting(placement.label, says, "", placement.terminating_since)

    def _tell(self, progress: Progress) -> None:
        if progress != self._last:
            self._last = progress
            self._report(progress)

    def _pause(self) -> float:
        return LOOK_PAUSES[min(self._idle, len(LOOK_PAUSES) - 1)]

    def _late(self) -> str:
        waiting = self._last.waiting if self._last else ()
        left = ", ".join(
            f"{wait.what} ({wait.on}{f', {wait.owner}' if wait.owner else ''})" for wait in waiting[:NAMED]
        )
        more = f" and {len(waiting) - NAMED} more" if len(waiting) > NAMED else ""
        why = f"; {self._trouble}" if self._trouble else ""
        deadline = f"{self._action.deadline.total_seconds():g} s"
        return f"the deadline of {deadline} passed, it stays closed; left: {left or 'unknown'}{more}{why}"

    def _stopped(self, stops: tuple[Stop, ...]) -> str:
        named = "; ".join(f"{stop.placement.label} {stop.says}: {stop.option}" for stop in stops)
        done, total = self._count()
        begun = f"stopped with {done} of {total} gone" if total else "nothing was evicted"
        return f"{begun}: {named}"

    def _outcome(self, state: StepState, says: str) -> Outcome:
        return Outcome(self._step.id, self._step.node, state, says)


def _in_our_words(cause: str, namespace: str) -> str:
    """A budget's cause as the API server words it (1.36), shorter and with its namespace; anything else as it came."""
    head, found, rest = cause.removesuffix(" currently").partition("The disruption budget ")
    if head or not found:
        return cause
    return f"budget {namespace}/{rest}".replace(" 1 healthy pods", " 1 healthy pod")


class _Preconditions(msgspec.Struct):
    uid: str


class _DeleteOptions(msgspec.Struct, rename="camel", omit_defaults=True):
    preconditions: _Preconditions
    grace_period_seconds: int | None = None


class _Meta(msgspec.Struct):
    name: str
    namespace: str


class _Eviction(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    metadata: _Meta
    delete_options: _DeleteOptions


def eviction(placement: Placement, grace: timedelta | None) -> bytes:
    """The policy/v1 Eviction of exactly this pod; `grace` None leaves it its own."""
    seconds = None if grace is None else max(0, int(grace.total_seconds()))
    options = _DeleteOptions(_Preconditions(placement.uid), seconds)
    meta = _Meta(placement.name, placement.namespace)
    return msgspec.json.encode(_Eviction("policy/v1", "Eviction", meta, options))
