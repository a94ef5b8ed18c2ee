"""The dispatcher: the one way from a request to the writers. It plans, refuses, starts, stops and resumes.

Read-only is enforced here, and so is everything a plan's confirmation promised: at each node's turn the node is read again,
and one that is not as it was shown goes back to be confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fleet.active_checks import asked
from fleet.errors import Blocked, FleetError, Missing
from fleet.journal import Kind, Record
from fleet.lock import Locks
from fleet.machine import Tie
from fleet.node import NodeKey
from fleet.operation import Operation, OperationState
from fleet.plan import Ground, NodeFacts, NodePlan, Permission, Plan, Request, SourceIdentity, Verb
from fleet.planning import plan as make_plan
from fleet.policy import Policy
from fleet.ports import Checker, CheckRunner, Clock, Journal, Reader, Writer
from fleet.read_only import NoWriter
from fleet.runner import Bench, OperationRun, new_operation
from fleet.stopping import Stop
from fleet.workload import Rest, WorkloadAt

Capacity = Mapping[str, tuple[int, int, int, int]]
"""By category: GPUs usable, GPUs in all, nodes, nodes unavailable."""


Elsewhere = Callable[[Collection[WorkloadAt], Collection[NodeKey]], Mapping[WorkloadAt, Rest]]
"""Where, beside the nodes given, each of some workloads is seen to run; one that runs nowhere else is left out."""

_GATES = (Verb.GATE, Verb.REIMAGE, Verb.PROVISION)
"""Verbs that run active checks."""

_MOVE_NO_WORK = (Verb.CORDON, Verb.UNCORDON)
"""Verbs for which nobody need ask what work is on a node."""


class Dispatcher:
    """Plans and runs verbs over the sources it was given readers and writers for."""

    def __init__(
        self,
        *,
        readers: Mapping[str, Reader],
        writers: Mapping[str, Writer],
        checker: Checker,
        journal: Journal,
        clock: Clock,
        policy: Policy,
        owner: str,
        locks: Mapping[str, Locks] | None = None,
        check_runners: Mapping[str, CheckRunner] | None = None,
        capacity: Callable[[], Capacity] = dict,
        stale: Callable[[], Sequence[str]] = tuple,
        last_known: Callable[[], Collection[str]] = tuple,
        elsewhere: Elsewhere = lambda workloads, nodes: {},
        ties: Callable[[NodeKey], Tie | None] = lambda node: None,
        changed: Callable[[OperationRun], None] = lambda run: None,
    ) -> None:
        self._readers = readers
        self._writers = {name: NoWriter(name) for name in readers} if policy.read_only else writers
        self._checker = checker
        self._journal = journal
        self._clock = clock
        self._policy = policy
        self._owner = owner
        self._locks = locks or {}
        self._check_runners = {} if policy.read_only else check_runners or {}
        self._capacity = capacity
        self._stale = stale
        self._last_known = last_known
        self._elsewhere = elsewhere
        self._ties = ties
        self._changed = changed
        self._identity: dict[str, SourceIdentity] = {}
        self._runs: dict[str, OperationRun] = {}
        self._tasks: dict[str, asyncio.Task[Operation]] = {}
        self._leaving = False

    @property
    def read_only(self) -> bool:
        return self._policy.read_only

    @property
    def runs(self) -> Mapping[str, OperationRun]:
        """Operations of this program, by id, in the order they were started."""
        return self._runs

    async def plan(self, request: Request) -> Plan:
        """Read the ground fresh and plan `request` over it. Nothing is changed. Raises FleetError.

        Blocked where the nodes of a source are only known from an earlier run: nobody chose among what is there now.
        """
        for source in sorted({key.source for key in request.nodes} & set(self._last_known())):
            raise Blocked("its nodes are only last known: wait until it answers", about=source)
        request = self._by_machine(request)
        return make_plan(request, await self.ground(request), self._policy, self._clock.now())

    async def ground(self, request: Request) -> Ground:
        """Everything the plan stands on, read now from each source that the request names."""
        permissions: dict[tuple[str, Verb], Permission] = {}
        for source in dict.fromkeys(key.source for key in request.nodes):
            permissions.update(await self._known(source, request.verb))
        ties = self._tied(request)
        for source in _twins(ties):
            try:
                permissions.update(await self._known(source, request.verb))
            except FleetError as error:
                ties = _untold(ties, source, error)
        found = await self._ground(request, permissions, ties)
        found = replace(found, no_checks=await self._no_checks(request, found))
        work = {
            (key.source, item.workload) for key, facts in found.facts.items() for item in facts.placements
        }
        return replace(found, elsewhere=self._elsewhere(work, request.nodes)) if work else found

    async def _no_checks(self, request: Request, ground: Ground) -> Mapping[str, str]:
        """Why no active check may be run, by each source where one is to be: a machine's are run by Slurm."""
        if request.verb not in _GATES or request.options.check_only:
            return {}
        found = {**ground.facts, **ground.twins}
        of = {key: facts.node.category for key, facts in found.items()}
        if request.verb is Verb.PROVISION:
            of = dict.fromkeys(request.nodes, request.options.category or "")
        runs = {side: tie.sides[0] for tie in ground.ties.values() if not tie.says for side in tie.sides}
        asking = {runs.get(key, key).source for key, name in of.items() if asked(self._policy.category(name))}
        return {source: await self._no_check_in(source) for source in sorted(asking)}

    async def _no_check_in(self, source: str) -> str:
        runner = self._check_runners.get(source)
        if runner is None:
            return f"nothing can be run on nodes of {source}"
        try:
            return await runner.refusal()
        except FleetError as error:
            return f"whether it may be is not known ({error})"

    async def _known(self, source: str, verb: Verb) -> Mapping[tuple[str, Verb], Permission]:
        """Which cluster a source is, kept, and what may be done there. Raises FleetError."""
        reader = self._reader(source)
        self._identity[source] = await reader.identity()
        return {(source, each): found for each, found in (await reader.allowed([verb])).items()}

    def _by_machine(self, request: Request) -> Request:
        """The request with each machine named once, by the side that stands for it."""
        named = [tie.shown if (tie := self._ties(key)) is not None else key for key in request.nodes]
        return replace(request, nodes=tuple(dict.fromkeys(named)))

    def _tied(self, request: Request) -> Mapping[NodeKey, Tie]:
        """What the rules make of the nodes; nothing of one that is yet to be made."""
        if request.verb is Verb.PROVISION:
            return {}
        return {key: tie for key in request.nodes if (tie := self._ties(key)) is not None}

    async def _ground(
        self,
        request: Request,
        permissions: Mapping[tuple[str, Verb], Permission],
        ties: Mapping[NodeKey, Tie],
    ) -> Ground:
        facts: dict[NodeKey, NodeFacts] = {}
        twins: dict[NodeKey, NodeFacts] = {}
        work = request.verb not in _MOVE_NO_WORK
        sources = list(dict.fromkeys(key.source for key in request.nodes))
        for source in sources:
            keys = [key for key in request.nodes if key.source == source]
            facts.update(await self._reader(source).read(keys, work=work))
        for source in _twins(ties):
            keys = [twin for key, tie in ties.items() if (twin := tie.twin_of(key)) and twin.source == source]
            try:
                twins.update(await self._reader(source).read(keys, work=work))
            except FleetError as error:
                ties = _untold(ties, source, error)
        return Ground(
            facts=facts,
            twins=twins,
            ties=ties,
            identity={
                name: self._identity[name] for name in (*sources, *_twins(ties)) if name in self._identity
            },
            permissions=permissions,
            capacity=self._capacity(),
            missing=tuple(key for key in request.nodes if key not in facts),
            stale_feeds=tuple(self._stale()),
        )

    def start(self, plan: Plan) -> OperationRun:
        """Begin a confirmed plan in a task of its own. Raises Blocked where it may not run."""
        self._refuse(plan)
        return self._launch(new_operation(plan, self._clock.now(), self._owner), resumed=False)

    async def run(self, plan: Plan) -> Operation:
        """Run a confirmed plan to its end. Raises Blocked, or JournalFailed before anything was done."""
        run = self.start(plan)
        return await self.finished(run.operation.id)

    async def finished(self, operation: str) -> Operation:
        """The operation of this program as it ended, once it has. Whoever stops waiting for it does not stop it."""
        return await asyncio.shield(self._tasks[operation])

    async def resume(self, operation: Operation, *, to_cancel: bool = False) -> OperationRun:
        """Go on with an operation that was interrupted, from what the journal says of it now.

        With `to_cancel` nothing of it is gone on with: each node that was begun gets the ending that its verb gives a cancel.
        Raises Blocked where it may not be gone on with or is not the cluster it began on, Conflict where a live program runs it.
        """
        if self.read_only:
            raise Blocked("this session is read-only", about=operation.id)
        await self._journal.own(operation.id, self._owner)
        launched = False
        try:
            written = await self._journal.operation(operation.id)
            if written is None:
                raise Missing("there is no such operation in the journal", about=operation.id)
            if written.state in (OperationState.DONE, OperationState.CANCELLED):
                raise Blocked(f"it is {written.state.value}: nothing is left to do", about=operation.id)
            for began in written.plan.sources:
                self._identity[began.source] = await self._reader(began.source).identity()
            self._same_cluster(written, self._identity)
            self._refuse_busy(written.plan)
            run = self._launch(replace(written, owner=self._owner), resumed=True)
            launched = True
            if to_cancel:
                run.request(Stop.CANCEL)
            return run
        finally:
            if not launched:
                await self._journal.disown(operation.id)

    def cancel(self, operation: str) -> None:
        """Stop an operation of this program at the next safe point. Raises Missing."""
        if operation not in self._tasks or self._tasks[operation].done():
            raise Missing("no such operation runs here", about=operation)
        self._runs[operation].request(Stop.CANCEL)

    async def leave(self) -> None:
        """Leave every operation resumable and return when all have stopped. Nothing begins after that."""
        self._leaving = True
        for run in self._runs.values():
            run.request(Stop.LEAVE)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def running(self) -> tuple[OperationRun, ...]:
        return tuple(run for id_, run in self._runs.items() if not self._tasks[id_].done())

    def busy(self, node: NodeKey) -> OperationRun | None:
        """The operation of this program that works on `node` now."""
        return next(
            (run for run in self.running() if any(node in share.keys for share in run.plan.nodes)), None
        )

    def _launch(self, operation: Operation, *, resumed: bool) -> OperationRun:
        bench = Bench(
            readers=self._readers,
            writers=self._writers,
            checker=self._checker,
            journal=self._journal,
            clock=self._clock,
            policy=self._policy,
            identity=self._identity,
            stale=self._stale,
            recheck=self._recheck,
            locks=self._locks,
            check_runners=self._check_runners,
        )
        run = OperationRun(bench, operation, self._changed)
        self._runs[operation.id] = run
        task = asyncio.create_task(self._to_its_end(run, resumed=resumed), name=operation.id)
        task.add_done_callback(_tell_bugs)
        self._tasks[operation.id] = task
        return run

    async def _to_its_end(self, run: OperationRun, *, resumed: bool) -> Operation:
        """Run it as its one owner, so that no other program resumes it meanwhile."""
        operation = run.plan.request.operation
        if run.plan.changes_nothing:
            return await run.go()
        if not resumed:
            await self._journal.own(operation, self._owner)
        try:
            return await run.go(resumed=resumed)
        finally:
            await self._journal.disown(operation)

    def _refuse(self, plan: Plan) -> None:
        if self.read_only and not plan.changes_nothing:
            raise Blocked("this session is read-only: nothing was done")
        if plan.request.operation in self._runs:
            raise Blocked("this plan was started already", about=plan.request.operation)
        if plan.all_blockers:
            first = plan.all_blockers[0]
            about = first.node.name if first.node else ""
            raise Blocked(first.says + (f" ({first.go_on})" if first.go_on else ""), about=about)
        self._refuse_busy(plan)
        for key in [key for share in plan.nodes for key in share.keys]:
            if key.source not in self._writers and not plan.changes_nothing:
                raise Blocked(f"nothing may be changed in {key.source}", about=key.name)

    def _refuse_busy(self, plan: Plan) -> None:
        if self._leaving:
            raise Blocked("this program is leaving")
        for key in [key for share in plan.nodes for key in share.keys]:
            if (other := self.busy(key)) is not None:
                says = f"operation {other.operation.id} ({other.plan.verb.value}) runs on it"
                raise Blocked(says, about=key.name)

    def _reader(self, source: str) -> Reader:
        if source not in self._readers:
            raise Missing(f"there is no source {source}", about=source)
        return self._readers[source]

    @staticmethod
    def _same_cluster(operation: Operation, found: Mapping[str, SourceIdentity]) -> None:
        """Refuse to resume on a cluster that only has the same name. Each node is looked at when its turn comes."""
        for began in operation.plan.sources:
            now = found.get(began.source)
            if now is None or (began.identity and now.identity != began.identity):
                raise Blocked(f"{began.source} is another cluster than it began on", about=operation.id)

    async def _recheck(self, plan: Plan, shown: NodePlan) -> str:
        """What of this node is not as it was shown: another node, new holders, a new blocker, work beyond the radius.

        Permissions are not asked again for each node: the call itself is refused, and that stops the operation.
        """
        request = replace(plan.request, nodes=(shown.node,))
        ground = await self._ground(request, {}, self._tied(request))
        now = make_plan(request, ground, self._policy, self._clock.now())
        fresh = now.nodes[0]
        if fresh.blockers:
            return fresh.blockers[0].says
        if shown.promise != fresh.promise or [step.id for step in shown.steps] != [
            step.id for step in fresh.steps
        ]:
            return "it has changed since it was shown: confirm it again"
        known = set(plan.radius.workloads) | {item.workload for item in shown.moves}
        more = [item.label for item in fresh.moves if item.workload not in known and not item.finished]
        if more:
            return f"work has landed that was not shown ({more[0]}): confirm it again"
        return ""

    async def refused(self, request: Request, why: str) -> None:
        """Write down that a request was refused, so that the audit trail has it. One that changes nothing leaves no trace."""
        if request.verb is Verb.GATE and request.options.check_only:
            return
        record = Record(
            self._clock.now(), Kind.REFUSED, request.operation, request.by, request.verb.value, says=why
        )
        await self._journal.append([record])


def _twins(ties: Mapping[NodeKey, Tie]) -> Sequence[str]:
    """The sources of the other sides that can be told."""
    twins = [tie.twin_of(key) for key, tie in ties.items() if not tie.says]
    return tuple(dict.fromkeys(twin.source for twin in twins if twin is not None))


def _untold(ties: Mapping[NodeKey, Tie], source: str, error: FleetError) -> Mapping[NodeKey, Tie]:
    """The ties, without those into a source that does not answer."""

    def told(key: NodeKey, tie: Tie) -> Tie:
        twin = tie.twin_of(key)
        if tie.says or twin is None or twin.source != source:
            return tie
        says = f"its other side {twin} can't be read: {error}"
        return replace(tie, says=says, go_on=f"wait until {source} answers")

    return {key: told(key, tie) for key, tie in ties.items()}


def _tell_bugs(task: asyncio.Task[Any]) -> None:
    """Hand a bug in an operation to the loop at once, also where nobody waits for that operation."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, FleetError):
        context = {"message": f"operation {task.get_name()} broke", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)
