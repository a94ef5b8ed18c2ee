"""One dispatcher over two real truths: a slurmctld and the Kubernetes API, whose two nodes are one machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from backends.diagnostics.runner import DiagnosticsRunner
from backends.kubernetes.check_runs import JobRunner
from backends.simulated.objects import JOBS
from backends.slurm.check_reservations import PREFIX, ask_reserved
from backends.slurm.check_runs import SrunRunner
from backends.slurm.commands import SlurmCommands
from backends.slurm.reader import SlurmReader
from fleet.category import Category, CheckPolicy, OnNode
from fleet.diagnosis import CheckSite
from fleet.dispatch import Dispatcher
from fleet.health import Finding, Verdict
from fleet.machine import Tie
from fleet.node import Admission, Node, NodeKey, Stage
from fleet.operation import Operation, OperationState
from fleet.plan import NodeFacts, NodePlan, Options, Plan, Release, Request, Verb
from fleet.policy import Policy
from fleet.ports import CheckRunner
from tests.contract.conftest import simulated
from tests.contract.orchestrator import Orchestrator
from tests.contract.real_clock import RealClock
from tests.contract.slurm_orchestrator import SlurmOrchestrator, slurm
from tests.fakes import MemoryJournal
from tests.slurm_lab import SlurmLab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm-beside")]


@dataclass
class Machine:
    """A machine of both, and the desk that works on it."""

    slurm: SlurmOrchestrator
    kubernetes: Orchestrator
    sides: tuple[NodeKey, NodeKey]
    verdict: Verdict = Verdict.PASS
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    policy: Policy = field(default_factory=Policy)

    async def findings(self, facts: NodeFacts, category: Category) -> Sequence[Finding]:
        """The port `Checker`: what it is told, and what was run."""
        return (Finding("ready", self.verdict, "?", "ready", facts.node.key.source), *facts.findings)

    def dispatcher(self) -> Dispatcher:
        slurm, kubernetes = self.sides
        both: dict[str, Any] = {slurm.source: self.slurm, kubernetes.source: self.kubernetes}
        return Dispatcher(
            readers={source: each.reader for source, each in both.items()},
            writers={source: each.writer for source, each in both.items()},
            checker=self,
            journal=self.journal,
            clock=RealClock(),
            policy=self.policy,
            owner="oncall@desk",
            ties=lambda key: Tie(kubernetes, self.sides) if key in self.sides else None,
            check_runners=self._runners() if self.policy.any_other.checks or self.policy.categories else None,
        )

    def _runners(self) -> dict[str, CheckRunner]:
        """Both sources' ways of running a check, though only one is to be used."""
        slurm, kubernetes = self.sides
        clock, api = RealClock(), self.kubernetes.api
        on_slurm = SrunRunner(self.commands, cast("SlurmReader", self.slurm.reader).seen, clock, "root")
        on_kubernetes = JobRunner(api, clock, "node.lab/", CheckSite("checks"))
        return {
            slurm.source: DiagnosticsRunner(on_slurm, clock),
            kubernetes.source: DiagnosticsRunner(on_kubernetes, clock),
        }

    @property
    def commands(self) -> SlurmCommands:
        assert self.slurm.lab is not None
        return SlurmCommands(RealClock(), self.slurm.lab.environ, deadline=timedelta(seconds=15))

    async def leaves_nothing(self) -> bool:
        """Whether neither a reservation nor a Job of a check is there."""
        assert self.kubernetes.simulation is not None
        reserved = await ask_reserved(self.commands, self.sides[0].name)
        return reserved is None and not self.kubernetes.simulation.store.list(JOBS)

    async def does(self, verb: Verb, operation: str, **options: Any) -> Operation:
        request = Request(verb, (self.sides[0],), "oncall@desk", "a test", operation, Options(**options))
        dispatcher = self.dispatcher()
        return await dispatcher.run(await dispatcher.plan(request))

    async def nodes(self) -> tuple[Node, Node]:
        """Slurm's and Kubernetes' own word of it, now."""
        slurm, kubernetes = self.sides
        return (await self.slurm.facts(slurm)).node, (await self.kubernetes.facts(kubernetes)).node

    async def are(self, *admissions: Admission) -> None:
        """Wait until Slurm and Kubernetes say so of it: each takes a moment after its answer."""

        async def so() -> bool:
            return tuple(node.admission for node in await self.nodes()) == admissions

        await self.slurm.settle(so, f"Slurm and Kubernetes are {admissions}", timedelta(seconds=20))

    def steps(self, operation: str) -> list[str]:
        """Where each change was begun, in order."""
        return [
            f"{record.source} {type(record.step.action).__name__}"
            for record in self.journal.written
            if record.operation == operation and record.step is not None
        ]


@asynccontextmanager
async def machine(folder: Path) -> AsyncIterator[Machine]:
    with slurm(folder) as lab:
        async with simulated(folder) as kubernetes:
            yield Machine(lab, kubernetes, (await lab.node(), await kubernetes.node()))


OPEN, CORDONED, GATED = Admission.OPEN, Admission.CORDONED, Admission.GATED


async def test_a_drain_and_its_end_are_seen_by_both(tmp_path: Path) -> None:
    async with machine(tmp_path) as at:
        lab, simulated = (side.source for side in at.sides)
        assert (await at.does(Verb.DRAIN, "op-1")).state is OperationState.DONE
        await at.are(CORDONED, CORDONED)
        assert {node.stage for node in await at.nodes()} == {Stage.DRAINED}
        assert at.steps("op-1") == [
            f"{lab} Close",
            f"{simulated} Close",
            f"{lab} MoveWork",
            f"{lab} Mark",
            f"{simulated} MoveWork",
            f"{simulated} Mark",
        ]
        assert (await at.does(Verb.UNCORDON, "op-2")).state is OperationState.DONE
        assert at.steps("op-2") == [f"{simulated} Release", f"{lab} Release"]
        await at.are(OPEN, OPEN)


async def test_a_failed_gate_quarantines_both_and_a_later_pass_opens_both_kubernetes_first(
    tmp_path: Path,
) -> None:
    async with machine(tmp_path) as at:
        lab, simulated = (side.source for side in at.sides)
        await at.does(Verb.CORDON, "op-1")
        at.verdict = Verdict.FAIL
        assert (await at.does(Verb.GATE, "op-2")).state is OperationState.FAILED
        assert at.steps("op-2") == [f"{lab} ApplyVerdict", f"{simulated} ApplyVerdict"]
        await at.are(GATED, GATED)
        assert {node.stage for node in await at.nodes()} == {Stage.QUARANTINED}
        at.verdict = Verdict.PASS
        held = await at.does(Verb.GATE, "op-3")
        assert "still closed" in held.says, "the cordon of the first operation is no gate's to lift"
        await at.are(GATED, GATED)
        for side in at.sides:
            await _lift(at, side, "op-1")
        assert (await at.does(Verb.GATE, "op-4")).state is OperationState.DONE
        assert at.steps("op-4") == [f"{simulated} ApplyVerdict", f"{lab} ApplyVerdict"]
        await at.are(OPEN, OPEN)


async def test_what_a_colleague_closed_on_one_side_blocks_a_drain_and_a_cordon_brings_both_together(
    tmp_path: Path,
) -> None:
    async with machine(tmp_path) as at:
        slurm, _ = at.sides
        assert at.slurm.lab is not None
        at.slurm.lab.update(slurm.name, "State=DRAIN", "Reason=psu swap")
        await at.are(CORDONED, OPEN)
        plan = await at.dispatcher().plan(
            Request(Verb.DRAIN, (slurm,), "oncall@desk", "dust", "op-1", Options())
        )
        assert any("IDLE+DRAIN" in each.says and "psu swap" in each.says for each in plan.all_blockers)
        assert (await at.does(Verb.CORDON, "op-2")).state is OperationState.DONE
        await at.are(CORDONED, CORDONED)
        assert "psu swap" in at.slurm.lab.line(slurm.name)


# Active checks: once, on Slurm's side.

LINKS = "site.links"


def checks(*command: str) -> dict[str, CheckPolicy]:
    return {LINKS: CheckPolicy(needed=True, on_node=OnNode(command=command))}


def asking(*command: str) -> Policy:
    """Every category asks for one check, which is needed."""
    return Policy(any_other=Category("", checks=checks(*command), settle_deadline=timedelta(seconds=20)))


async def quarantined(at: Machine) -> None:
    """The machine behind the gate on both sides, with no hold but the gate's."""
    before, at.policy, at.verdict = at.policy, Policy(), Verdict.FAIL
    await at.does(Verb.CORDON, "op-a")
    await at.does(Verb.GATE, "op-b")
    for side in at.sides:
        await _lift(at, side, "op-a")
    at.policy, at.verdict = before, Verdict.PASS
    await at.are(GATED, GATED)


async def findings(at: Machine, side: int = 0) -> dict[str, tuple[Verdict, str]]:
    record = (await at.nodes())[side].gate
    assert record is not None
    return {each.check: (each.verdict, each.value) for each in record.findings}


async def test_a_check_runs_once_on_slurms_side_and_its_pass_opens_both(tmp_path: Path) -> None:
    async with machine(tmp_path) as at:
        lab, simulated = (side.source for side in at.sides)
        at.policy = asking("/bin/sh", "-c", "echo all links up")
        await quarantined(at)
        assert at.kubernetes.simulation is not None
        at.kubernetes.simulation.api.deny("create", "jobs")  # what may be run in Kubernetes is no matter here
        operation = await at.does(Verb.GATE, "op-1")
        assert operation.state is OperationState.DONE, operation.says
        assert at.steps("op-1") == [
            f"{lab} Diagnose",
            f"{simulated} ApplyVerdict",
            f"{lab} ApplyVerdict",
        ]
        await at.are(OPEN, OPEN)
        assert await at.leaves_nothing()


async def test_a_check_that_fails_keeps_both_closed_and_says_why(tmp_path: Path) -> None:
    async with machine(tmp_path) as at:
        at.policy = asking("/bin/sh", "-c", "echo link 3 is down; exit 1")
        await quarantined(at)
        assert (await at.does(Verb.GATE, "op-1")).state is OperationState.FAILED
        await at.are(GATED, GATED)
        for side in (0, 1):
            assert (await findings(at, side))[LINKS] == (Verdict.FAIL, "link 3 is down")
        assert await at.leaves_nothing()


async def test_while_it_runs_both_are_closed_and_a_cancel_leaves_both_as_they_were(tmp_path: Path) -> None:
    async with machine(tmp_path) as at:
        at.policy = asking("/bin/sleep", "300")
        await at.does(Verb.CORDON, "op-0")
        lab = at.slurm.lab
        assert lab is not None
        before = lab.line(at.sides[0].name).partition(" Reason=")[2].partition(" [")[0]
        dispatcher = at.dispatcher()
        request = Request(Verb.GATE, (at.sides[0],), "oncall@desk", "dust", "op-1", Options())
        dispatcher.start(await dispatcher.plan(request))
        await lab.settles(lambda: "ALLOCATED" in lab.states(at.sides[0].name), "the check runs")
        assert OPEN not in {node.admission for node in await at.nodes()}
        dispatcher.cancel("op-1")
        assert (await dispatcher.finished("op-1")).state is OperationState.CANCELLED
        await at.are(CORDONED, CORDONED)
        assert lab.line(at.sides[0].name).partition(" Reason=")[2].partition(" [")[0] == before
        assert await at.leaves_nothing()


async def test_resumed_and_cancelled_at_once_nothing_of_it_is_left(tmp_path: Path) -> None:
    async with machine(tmp_path) as at:
        at.policy = asking("/bin/sleep", "300")
        await at.does(Verb.CORDON, "op-0")
        lab = at.slurm.lab
        assert lab is not None
        dispatcher = at.dispatcher()
        request = Request(Verb.GATE, (at.sides[0],), "oncall@desk", "dust", "op-1", Options())
        dispatcher.start(await dispatcher.plan(request))
        await lab.settles(lambda: "ALLOCATED" in lab.states(at.sides[0].name), "the check runs")
        await dispatcher.leave()
        as_a_kill_leaves_it(lab, at.sides[0].name, "op-1")
        later = at.dispatcher()
        (left,) = [each for each in await at.journal.operations() if each.id == "op-1"]
        await later.resume(left)
        later.cancel("op-1")
        assert (await later.finished("op-1")).state is OperationState.CANCELLED
        await at.are(CORDONED, CORDONED)
        assert await at.leaves_nothing()


def as_a_kill_leaves_it(lab: SlurmLab, node: str, operation: str) -> None:
    """Reserved for a check, and undrained."""
    lab.scontrol(
        *("create", "reservation", f"ReservationName={PREFIX}{node}", "StartTime=now"),
        *("Duration=UNLIMITED", "Users=root", "Flags=MAINT,IGNORE_JOBS", f"Nodes={node}"),
        f"BurstBuffer=quarterdeck:{operation}/oncall@desk",
    )
    lab.node_is(node, "MAINTENANCE")
    lab.update(node, "State=UNDRAIN")
    lab.node_is(node, "IDLE", without=("DRAIN", "NOT_RESPONDING"))


async def test_gpus_that_a_pod_holds_are_not_run_on_by_slurm(tmp_path: Path) -> None:
    async with machine(tmp_path) as at:
        at.policy = asking("/bin/sh", "-c", "echo all links up")
        pod = await at.kubernetes.bare_pod(at.sides[1], await at.kubernetes.namespace(), gpus=1)
        await quarantined(at)
        await at.does(Verb.GATE, "op-1")
        await at.are(GATED, GATED)
        verdict, value = (await findings(at))[LINKS]
        assert (verdict, value.startswith("work is on it: ")) == (Verdict.UNKNOWN, True)
        assert pod in value


async def test_nothing_is_run_while_kubernetes_has_it_open(tmp_path: Path) -> None:
    async with machine(tmp_path) as at:
        ran = tmp_path / "ran"
        at.policy = asking("/usr/bin/touch", str(ran))
        await quarantined(at)
        dispatcher = at.dispatcher()
        request = Request(Verb.GATE, (at.sides[0],), "oncall@desk", "dust", "op-1", Options())
        shown = await dispatcher.plan(request)
        recheck = dispatcher._recheck

        async def opened(plan: Plan, share: NodePlan) -> str:
            said = await recheck(plan, share)
            await at.kubernetes.perform(at.sides[1], Release((), open_gate=True, stage=None))
            return said

        dispatcher._recheck = opened  # type: ignore[method-assign, assignment]
        await dispatcher.run(shown)
        assert not ran.exists()


async def test_a_check_that_only_the_other_sides_category_asks_for_is_run_too(tmp_path: Path) -> None:
    async with machine(tmp_path) as at:
        category = (await at.nodes())[1].category or "unheard"
        assert category != ((await at.nodes())[0].category or "")
        wants = Category(category, checks=checks("/bin/sh", "-c", "echo down; exit 1"))
        at.policy = Policy(categories={category: wants})
        await quarantined(at)
        assert (await at.does(Verb.GATE, "op-1")).state is OperationState.FAILED
        assert f"{at.sides[0].source} Diagnose" in at.steps("op-1")
        assert (await findings(at))[LINKS] == (Verdict.FAIL, "down")


async def _lift(at: Machine, side: NodeKey, operation: str) -> None:
    """Lift one hold at its own source, as its holder would."""
    orchestrator: Any = at.slurm if side == at.sides[0] else at.kubernetes
    await orchestrator.perform(side, Release((operation,), stage=None))
