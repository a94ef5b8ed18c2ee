"""Active checks of a machine of two sources: once, at Slurm's side, over what both sides say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from fleet.category import Category
from fleet.diagnosis import Diagnosed
from fleet.dispatch import Dispatcher
from fleet.node import Admission, NodeKey, Stage
from fleet.operation import OperationState, Progress
from fleet.plan import NodeFacts, Step, Verb
from fleet.policy import Policy
from tests.fakes import node, pod
from tests.unit.test_both_sides import KUBE, SLURM, Machines
from tests.unit.test_diagnosing import DIAG, Judge, Runner, policy


@dataclass
class Seeing(Runner):
    """A runner that keeps what it was told of the node."""

    saw: list[NodeFacts] = field(default_factory=list)

    async def run(self, step: Step, facts: NodeFacts, progress: Callable[[Progress], None]) -> Diagnosed:
        self.saw.append(facts)
        return await Runner.run(self, step, facts, progress)


class Checked(Machines):
    """Machines whose two sources can both run a check."""

    def __init__(self) -> None:
        self.slurm, self.kube = Seeing(), Seeing(refuses="you may not create jobs")
        super().__init__(policy())
        self.checker = Judge()
        self.dispatcher = self.another(policy())

    def another(self, policy: Policy | None = None) -> Dispatcher:
        made = Machines.another(self, policy)
        made._checker = self.checker
        made._check_runners = {SLURM.source: self.slurm, KUBE.source: self.kube}
        return made


@pytest.fixture
def desk() -> Checked:
    made = Checked()
    gated = node(admission=Admission.GATED, stage=Stage.GATED, uid="")
    made.lab.add(gated)
    made.kubernetes.add(replace(gated, uid="uid-k", key=KUBE), pod("slurmd-0", gpus=8, host="gpu-1"))
    return made


async def test_it_is_run_once_by_slurm_and_its_pass_opens_both(desk: Checked) -> None:
    shown = await desk.planned(Verb.GATE)
    assert shown.free_to_run, "what may be run in Kubernetes is no matter"
    assert [(step.node, type(step.action).__name__) for step in shown.steps[:1]] == [(SLURM, "Diagnose")]
    assert (await desk.dispatcher.run(shown)).state is OperationState.DONE
    assert (len(desk.slurm.ran), desk.kube.ran) == (1, [])
    assert {desk.side(side).admission for side in (KUBE, SLURM)} == {Admission.OPEN}


async def test_slurmds_own_pod_is_no_work_and_any_other_pod_with_gpus_is(desk: Checked) -> None:
    desk.kubernetes.add(
        desk.side(KUBE), pod("slurmd-0", gpus=8, host="gpu-1"), pod("web-1", gpus=1), pod("agent-1", gpus=0)
    )
    await desk.does(Verb.GATE)
    (facts,) = desk.slurm.saw
    assert (facts.node.key, [item.name for item in facts.placements]) == (SLURM, ["web-1"])


@pytest.mark.parametrize("side", [KUBE, SLURM])
async def test_nothing_is_run_once_either_side_is_open(desk: Checked, side: NodeKey) -> None:
    shown = await desk.planned(Verb.GATE)
    run = desk.dispatcher.start(shown)
    (desk.kubernetes if side == KUBE else desk.lab).change(side, admission=Admission.OPEN)
    await desk.ended(run.operation.id)
    assert desk.slurm.ran == []


@pytest.mark.parametrize("asks", [KUBE, SLURM])
async def test_either_sides_category_is_enough_to_ask_for_it(desk: Checked, asks: NodeKey) -> None:
    desk.lab.change(SLURM, category="s-h100")
    desk.kubernetes.change(KUBE, category="k-h100")
    wants = "k-h100" if asks == KUBE else "s-h100"
    desk.dispatcher = desk.another(Policy(categories={wants: Category(wants, checks={"dcgm-diag": DIAG})}))
    assert (await desk.does(Verb.GATE)).state is OperationState.DONE
    assert [ran.check for ran in desk.slurm.ran] == ["dcgm-diag"]
    record = desk.side(SLURM).gate
    assert record is not None
    assert {each.check: each.verdict.value for each in record.findings}["dcgm-diag"] == "PASS"


async def test_what_keeps_slurm_from_running_it_blocks_whoever_asks(desk: Checked) -> None:
    desk.slurm.refuses = "you may not reserve"
    says = [blocker.says for blocker in (await desk.planned(Verb.GATE)).all_blockers]
    assert all("dcgm-diag can't be run: you may not reserve" in each for each in says), says
    assert says
