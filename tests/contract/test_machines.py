"""One dispatcher over two real truths: a slurmctld and the Kubernetes API, whose two nodes are one machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.category import Category
from fleet.dispatch import Dispatcher
from fleet.health import Finding, Verdict
from fleet.machine import Tie
from fleet.node import Admission, Node, NodeKey, Stage
from fleet.operation import Operation, OperationState
from fleet.plan import NodeFacts, Options, Release, Request, Verb
from fleet.policy import Policy
from tests.contract.conftest import simulated
from tests.contract.orchestrator import Orchestrator
from tests.contract.real_clock import RealClock
from tests.contract.slurm_orchestrator import SlurmOrchestrator, slurm
from tests.fakes import MemoryJournal

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm-beside")]


@dataclass
class Machine:
    """A machine of both, and the desk that works on it."""

    slurm: SlurmOrchestrator
    kubernetes: Orchestrator
    sides: tuple[NodeKey, NodeKey]
    verdict: Verdict = Verdict.PASS
    journal: MemoryJournal = field(default_factory=MemoryJournal)

    async def findings(self, facts: NodeFacts, category: Category) -> Sequence[Finding]:
        """The port `Checker`."""
        return (Finding("ready", self.verdict, "?", "ready", facts.node.key.source),)

    def dispatcher(self) -> Dispatcher:
        slurm, kubernetes = self.sides
        both: dict[str, Any] = {slurm.source: self.slurm, kubernetes.source: self.kubernetes}
        return Dispatcher(
            readers={source: each.reader for source, each in both.items()},
            writers={source: each.writer for source, each in both.items()},
            checker=self,
            journal=self.journal,
            clock=RealClock(),
            policy=Policy(),
            owner="oncall@desk",
            ties=lambda key: Tie(kubernetes, self.sides) if key in self.sides else None,
        )

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


async def _lift(at: Machine, side: NodeKey, operation: str) -> None:
    """Lift one hold at its own source, as its holder would."""
    orchestrator: Any = at.slurm if side == at.sides[0] else at.kubernetes
    await orchestrator.perform(side, Release((operation,), stage=None))
