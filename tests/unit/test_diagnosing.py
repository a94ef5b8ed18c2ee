"""Active checks as steps: shown, run on a closed node alone, journalled, found again, cancelled, and judged with the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.category import Category, CheckPolicy, OnNode
from fleet.diagnosis import Diagnose, Diagnosed, Ran, from_evidence, unknown
from fleet.errors import Denied, FleetError, Rejected, Unreachable
from fleet.health import Finding, GateRecord, Repair, Verdict
from fleet.holder import Hold, HolderKind
from fleet.node import Admission, Software, Stage
from fleet.operation import OperationState, Progress
from fleet.plan import ApplyVerdict, NodeFacts, Plan, Step, Verb
from fleet.policy import Policy
from tests.desk import Desk, Killed
from tests.fakes import SOURCE, Lab, key, node, request

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Runner:
    """A `CheckRunner` that finds what it is told, or waits until it is cancelled."""

    verdict: Verdict = Verdict.PASS
    refuses: str = ""
    fails: FleetError | None = None
    waits: bool = False
    ran: list[Diagnose] = field(default_factory=list)
    cleaned: list[str] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def refusal(self) -> str:
        if self.fails is not None:
            raise self.fails
        return self.refuses

    async def run(self, step: Step, facts: NodeFacts, progress: Callable[[Progress], None]) -> Diagnosed:
        assert isinstance(step.action, Diagnose)
        self.ran.append(step.action)
        if self.waits:
            self.reached.set()
            await asyncio.Event().wait()
        if self.fails is not None:
            raise self.fails
        finding = Finding(step.action.check, self.verdict, "as told", "a pass", "job 7, output abc", NOW)
        return Diagnosed(finding, tail=("last line",), digest="abc")

    def leaves(self, step: Step) -> str:
        return f"job of {step.id}: end it"

    async def clean_up(self, step: Step) -> None:
        self.cleaned.append(step.id)


class Judge(Lab):
    """A checker that takes what came with the facts, and passes the rest."""

    async def findings(self, facts: NodeFacts, category: Category) -> Sequence[Finding]:
        return (*facts.findings, Finding("gpus", Verdict.PASS, "8", "8", "allocatable"))


DIAG = CheckPolicy(on_node=OnNode(level=2, image="lab/dcgm:4"))


def policy(**checks: CheckPolicy) -> Policy:
    named = {name.replace("_", "-"): rule for name, rule in (checks or {"dcgm_diag": DIAG}).items()}
    return Policy(categories={"h100": Category("h100", checks=named, imager="recreate")})


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def desk(runner: Runner) -> Desk:
    made = Desk()
    made.runners[SOURCE] = runner
    made.checker = Judge()
    made.dispatcher = made.another(policy())
    gated = node(admission=Admission.GATED, stage=Stage.GATED, software=Software(gpu_product="NVIDIA-H100"))
    made.lab.add(gated)
    return made


async def plan(desk: Desk, verb: Verb = Verb.GATE, **options: Any) -> Plan:
    return await desk.dispatcher.plan(request(verb, **options))


def evidence(desk: Desk) -> list[Diagnosed]:
    found = [from_evidence(record.evidence) for record in desk.journal.written]
    return [each for each in found if each is not None]


async def test_the_plan_shows_what_is_run_before_the_verdict(desk: Desk) -> None:
    steps = [step.says for step in (await plan(desk)).steps]
    assert steps == [
        "run dcgm-diag on gpu-1: dcgmi diag level 2, about 2 min, at most 15 min, on all its GPUs, in lab/dcgm:4",
        "check gpu-1, and admit it on a PASS",
    ]


async def test_a_deadline_of_odd_seconds_is_told_in_seconds(desk: Desk) -> None:
    desk.dispatcher = desk.another(
        policy(dcgm_diag=CheckPolicy(on_node=OnNode(deadline=timedelta(seconds=40))))
    )
    assert "at most 40 s, on all its GPUs" in (await plan(desk)).steps[0].says


async def test_a_command_of_the_sites_own_is_shown_as_it_is_and_not_as_what_it_stands_for(desk: Desk) -> None:
    own = OnNode(
        level=3, command=("dcgmi", "diag", "-r", "pcie\x1b[2J", "x" * 500), deadline=timedelta(hours=2)
    )
    desk.dispatcher = desk.another(policy(dcgm_diag=CheckPolicy(on_node=own)))
    said = (await plan(desk)).steps[0].says
    assert said.startswith("run dcgm-diag on gpu-1: dcgmi diag -r pcie")
    assert said.endswith(", at most 120 min, on all its GPUs")
    assert said.isprintable()
    assert len(said) < 200


async def test_no_category_runs_anything_by_default(desk: Desk, runner: Runner) -> None:
    desk.dispatcher = desk.another(Policy())
    operation = await desk.run(Verb.GATE)
    assert (operation.state, runner.ran) == (OperationState.DONE, [])


async def test_a_pass_admits_and_its_evidence_is_journalled(desk: Desk, runner: Runner) -> None:
    operation = await desk.run(Verb.GATE)
    assert operation.state is OperationState.DONE
    assert desk.lab.node().admission is Admission.OPEN
    record = desk.lab.node().gate
    assert record is not None
    assert {finding.check: finding.verdict for finding in record.findings} == {
        "dcgm-diag": Verdict.PASS,
        "gpus": Verdict.PASS,
    }
    (told,) = evidence(desk)
    assert (told.tail, told.digest, told.boot_id) == (("last line",), "abc", "boot-1")
    assert len(runner.cleaned) == 1


async def test_what_is_run_is_told_the_nodes_gpus(desk: Desk, runner: Runner) -> None:
    rule = CheckPolicy(on_node=OnNode(command=("burn", "--gpus={gpus}", "{node}")))
    desk.dispatcher = desk.another(policy(**{"site.burn": rule}))
    await desk.run(Verb.GATE)
    (ran,) = runner.ran
    assert (ran.command, ran.gpus, ran.model) == (("burn", "--gpus=8", "gpu-1"), 8, "NVIDIA-H100")


@pytest.mark.parametrize(
    ("verdict", "admission", "stage"),
    [(Verdict.FAIL, Admission.GATED, Stage.QUARANTINED), (Verdict.UNKNOWN, Admission.GATED, Stage.GATED)],
)
async def test_what_does_not_pass_keeps_it_closed(
    desk: Desk, runner: Runner, verdict: Verdict, admission: Admission, stage: Stage
) -> None:
    runner.verdict = verdict
    operation = await desk.run(Verb.GATE)
    assert operation.state is OperationState.FAILED
    assert (desk.lab.node().admission, desk.lab.node().stage) == (admission, stage)
    assert runner.cleaned


async def test_a_runner_that_fails_is_unknown_and_not_an_error(desk: Desk, runner: Runner) -> None:
    shown = await plan(desk)
    runner.fails = Rejected("no such namespace")
    await desk.dispatcher.run(shown)
    record = desk.lab.node().gate
    assert record is not None
    assert (record.verdict, record.findings[0].value) == (Verdict.UNKNOWN, "no such namespace")


async def test_a_server_that_is_away_is_waited_for_a_while(desk: Desk, runner: Runner) -> None:
    shown = await plan(desk)
    runner.fails = Unreachable("no route")
    run = desk.dispatcher.start(shown)
    assert (await desk.ended(run.operation.id)).state is OperationState.FAILED
    assert len(runner.ran) > 2
    assert "no route" in run.operation.outcomes[-1].says


async def test_a_node_in_service_is_never_run_on(desk: Desk, runner: Runner) -> None:
    desk.lab.change(key("gpu-1"), admission=Admission.OPEN, stage=Stage.IN_SERVICE)
    shown = await plan(desk)
    assert [type(step.action).__name__ for step in shown.steps] == ["Check"]
    assert any("not run, for it is in service" in warning for warning in shown.nodes[0].warnings)
    assert (await desk.dispatcher.run(shown)).state is OperationState.DONE
    assert runner.ran == []


async def test_a_node_that_is_opened_meanwhile_is_not_run_on(desk: Desk, runner: Runner) -> None:
    desk.lab.add(node("gpu-2", admission=Admission.GATED, stage=Stage.GATED))
    shown = await plan(desk)
    step = shown.steps[0]
    run = desk.dispatcher.start(shown)
    desk.lab.change(key("gpu-1"), admission=Admission.OPEN)
    await desk.ended(run.operation.id)
    assert runner.ran == []
    assert step.id not in runner.cleaned


async def test_a_check_that_writes_nothing_runs_nothing_and_is_unknown(desk: Desk, runner: Runner) -> None:
    shown = await plan(desk, check_only=True)
    operation = await desk.dispatcher.run(shown)
    assert (operation.state, runner.ran) == (OperationState.FAILED, [])
    assert "not run: --check starts nothing on a node" in operation.outcomes[-1].says


@pytest.mark.parametrize("why", ["you may not create jobs in quarterdeck-checks", ""])
async def test_what_may_not_be_run_blocks_where_it_is_needed(desk: Desk, runner: Runner, why: str) -> None:
    runner.refuses = why
    runner.fails = None if why else Denied("no")
    for verb in (Verb.GATE, Verb.REIMAGE):
        (blocker,) = (await plan(desk, verb)).all_blockers
        assert blocker.says.startswith("dcgm-diag can't be run: ")
    accepted = await plan(desk, accept="dcgm-diag")
    assert accepted.free_to_run
    desk.dispatcher = desk.another(policy(dcgm_diag=replace(DIAG, needed=False)))
    assert (await plan(desk)).free_to_run


async def test_a_source_that_runs_nothing_says_so(desk: Desk) -> None:
    desk.runners.clear()
    (blocker,) = (await plan(desk)).all_blockers
    assert blocker.says == "dcgm-diag can't be run: nothing can be run on nodes of lab"


async def test_a_reimage_runs_it_on_the_new_boot(desk: Desk, runner: Runner) -> None:
    shown = await plan(desk, Verb.REIMAGE)
    assert [type(step.action).__name__ for step in shown.steps][-3:] == ["AwaitBoot", "Diagnose", "Check"]
    await desk.dispatcher.run(shown)
    (told,) = evidence(desk)
    assert told.boot_id == "boot-2"
    assert desk.lab.node().admission is Admission.OPEN


async def test_cancelling_takes_away_what_it_started(desk: Desk, runner: Runner) -> None:
    runner.waits = True
    run = await desk.start(Verb.GATE)
    await runner.reached.wait()
    desk.dispatcher.cancel(run.operation.id)
    operation = await desk.ended(run.operation.id)
    assert operation.state is OperationState.CANCELLED
    assert runner.cleaned == [operation.plan.steps[0].id]
    assert desk.lab.node().gate is None


async def test_one_that_is_left_stays_where_it_is_and_is_found_again(desk: Desk, runner: Runner) -> None:
    runner.waits = True
    await desk.start(Verb.GATE)
    await runner.reached.wait()
    await desk.dispatcher.leave()
    assert runner.cleaned == []
    runner.waits = False
    await resumed(desk)
    assert (await desk.ended()).state is OperationState.DONE
    assert [ran.operation for ran in runner.ran] == ["op-1", "op-1"]


async def test_one_that_was_cut_off_is_gone_on_with_though_it_holds_the_node_itself(
    desk: Desk, runner: Runner
) -> None:
    """On Slurm what it left is a maintenance reservation, which is a hold that the plan did not show."""
    runner.waits = True
    await desk.start(Verb.GATE)
    await runner.reached.wait()
    await desk.dispatcher.leave()
    found = desk.lab.node().holds
    reserved = Hold("reservation", "in a maintenance reservation", HolderKind.CONTROLLER)
    desk.lab.change(key("gpu-1"), admission=Admission.CORDONED, holds=(*found, reserved))
    runner.waits = False
    desk.dispatcher = desk.another(policy())
    (left,) = await desk.journal.operations()
    await desk.dispatcher.resume(left)
    operation = await desk.ended()
    assert len(runner.ran) == 2, operation.outcomes[-1].says
    assert runner.cleaned


async def test_one_that_never_began_takes_nothing_away(desk: Desk, runner: Runner) -> None:
    """What is on the node under that name is somebody else's."""
    run = await desk.start(Verb.GATE)
    desk.dispatcher.cancel(run.operation.id)
    assert (await desk.ended()).state is OperationState.CANCELLED
    assert (runner.ran, runner.cleaned) == ([], [])


async def killed_after_the_check(desk: Desk) -> None:
    """A gate whose program dies once the check's outcome is written, and the verdict's intent is not."""
    desk.dies_after(3)  # started, intent and outcome of the check
    await desk.start(Verb.GATE)
    with pytest.raises(Killed):
        await desk.ended()
    desk.lives_again()


async def resumed(desk: Desk) -> None:
    """Another program goes on with the one operation that there is."""
    desk.dispatcher = desk.another(policy())
    (found,) = await desk.journal.operations()
    await desk.dispatcher.resume(found)


async def test_killed_after_its_outcome_it_is_not_run_again(desk: Desk, runner: Runner) -> None:
    await killed_after_the_check(desk)
    await resumed(desk)
    assert (await desk.ended()).state is OperationState.DONE
    assert len(runner.ran) == 1
    record = desk.lab.node().gate
    assert record is not None
    assert "dcgm-diag" in {finding.check for finding in record.findings}


async def test_what_ran_before_the_last_boot_is_unknown(desk: Desk, runner: Runner) -> None:
    await killed_after_the_check(desk)
    desk.lab.change(key("gpu-1"), boot_id="boot-9")
    await resumed(desk)
    operation = await desk.ended()
    assert operation.state is OperationState.FAILED
    assert "it ran before the node's last boot" in operation.outcomes[-1].says


async def test_what_ran_before_a_repair_that_was_noted_since_is_unknown(desk: Desk, runner: Runner) -> None:
    """The fault came after the pass, or what was mended did: a resume of the old operation must not open over it."""
    await killed_after_the_check(desk)
    desk.lab.change(key("gpu-1"), repair=Repair("oncall", "new riser", NOW + timedelta(hours=1), "gate abc"))
    await resumed(desk)
    operation = await desk.ended()
    assert operation.state is OperationState.FAILED
    assert "it ran before what was mended on 2026-03-01 13:00 UTC" in operation.outcomes[-1].says
    assert desk.lab.node().admission is Admission.GATED


async def test_what_ran_before_the_node_failed_a_gate_since_is_unknown(desk: Desk, runner: Runner) -> None:
    """A colleague's verdict, or this gate's own before it was resumed: only evidence newer than the fault opens."""
    await killed_after_the_check(desk)
    failed = GateRecord(
        Verdict.FAIL, (Finding("xid", Verdict.FAIL, "79"),), NOW + timedelta(hours=1), "colleague"
    )
    desk.lab.change(key("gpu-1"), gate=failed)
    await resumed(desk)
    operation = await desk.ended()
    assert operation.state is OperationState.FAILED
    assert "it ran before the node failed its gate" in operation.outcomes[-1].says
    assert desk.lab.node().admission is Admission.GATED


async def test_what_ran_after_a_repair_counts(desk: Desk) -> None:
    desk.lab.change(key("gpu-1"), repair=Repair("oncall", "new riser", NOW - timedelta(hours=1), "gate abc"))
    assert (await desk.run(Verb.GATE)).state is OperationState.DONE


async def test_what_it_printed_last_is_in_the_journals_record_of_the_verdict(desk: Desk) -> None:
    await desk.run(Verb.GATE)
    actions = [record.step.action for record in desk.journal.written if record.step is not None]
    (applied,) = [action for action in actions if isinstance(action, ApplyVerdict)]
    tails = {finding.check: finding.tail for finding in applied.record.findings}
    assert tails == {"dcgm-diag": ("last line",), "gpus": ()}


def test_the_last_lines_of_an_output_are_those_that_say_something_cleaned_and_bounded() -> None:
    lines = [f"row {number}" for number in range(40)]
    output = "\n".join(
        [*lines, "x" * 5000, "\x1b[31mbad\x1b[0m", '  "status": "Fail"', " }", "]", "#", "", "-----"]
    )
    tail = Ran(output).tail
    assert tail[:5] == ("row 35", "row 36", "row 37", "row 38", "row 39")
    assert tail[-2:] == ("bad", '  "status": "Fail"')
    assert Ran("\t\tdeep\n\t\t\tdeeper\n\t}").tail == ("deep", "  deeper")
    assert max(len(line) for line in tail) <= 200
    assert len(tail) == 8
    assert Ran("").tail == ()


@pytest.mark.parametrize("text", ["", "PASS", "{}", "[]", '{"check": 1, "verdict": "fine", "at": 3}'])
def test_evidence_that_is_none_is_no_diagnosis(text: str) -> None:
    assert from_evidence(text) is None


def test_an_unknown_says_what_would_clear_it() -> None:
    finding = unknown("dcgm-diag", "x" * 5000)
    assert finding.clears
    assert len(finding.value) <= 200


async def test_what_was_run_is_not_waited_for_to_become_something_else(desk: Desk, runner: Runner) -> None:
    """A reimage gives agents and telemetry minutes to show; a run on the node has said what it says."""
    runner.verdict = Verdict.FAIL
    operation = await asyncio.wait_for(desk.run(Verb.REIMAGE), 5)  # nothing moves the clock
    assert operation.state is OperationState.FAILED
    assert desk.lab.node().stage is Stage.QUARANTINED
