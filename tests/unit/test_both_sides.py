"""Verbs on a machine of two sources: the order of its sides, what stops them half-way, and what is refused while they disagree."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fleet.dispatch import Dispatcher
from fleet.errors import Blocked, Conflict, TimedOut, Unreachable
from fleet.health import Finding, GateRecord, Verdict
from fleet.holder import Hold, HolderKind
from fleet.machine import Tie
from fleet.node import Admission, Node, NodeKey, Stage
from fleet.operation import OperationState, Outcome
from fleet.plan import NodeFacts, Plan, SourceIdentity, Verb
from fleet.policy import Policy
from fleet.stopping import Stop
from tests.desk import Desk, Killed
from tests.fakes import SOURCE, Lab, node, pod, request

KUBE, SLURM = NodeKey("prod", "gpu-1"), NodeKey(SOURCE, "gpu-1")
TIE = Tie(KUBE, (SLURM, KUBE))


class Kubernetes(Lab):
    """The other side's truth."""

    source = KUBE.source

    async def identity(self) -> SourceIdentity:
        return SourceIdentity(self.source, "cluster-2")


class Machines(Desk):
    """A desk over two sources, in which each node named here is one machine."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.kubernetes = Kubernetes()
        self.tie: Tie | None = TIE
        super().__init__(policy)
        self.kubernetes.performed = self.lab.performed

    def another(self, policy: Policy | None = None) -> Dispatcher:
        sides = {SLURM.source: self.lab, KUBE.source: self.kubernetes}
        return Dispatcher(
            readers=sides,
            writers=sides,
            checker=self.lab,
            journal=self.journal,
            clock=self.clock,
            policy=policy or Policy(),
            owner="oncall@desk",
            capacity=lambda: {"h100": (160, 160, 20, 0)},
            ties=lambda key: self.tie if key in (KUBE, SLURM) else None,
        )

    async def planned(self, verb: Verb, at: NodeKey = KUBE, **options: Any) -> Plan:
        return await self.dispatcher.plan(replace(request(verb, **options), nodes=(at,)))

    async def does(self, verb: Verb, **options: Any) -> Any:
        return await self.dispatcher.run(await self.planned(verb, **options))

    def done(self) -> list[tuple[str, str]]:
        """What was performed, in order: at which source, and what."""
        return [(step.node.source, type(step.action).__name__) for step in self.lab.performed]

    def side(self, key: NodeKey) -> Node:
        return (self.lab if key == SLURM else self.kubernetes).facts[key].node


@pytest.fixture
def desk() -> Machines:
    made = Machines()
    made.lab.add(node(uid=""), pod("job-41", gpus=8, waits=True))
    made.kubernetes.add(replace(node(uid="uid-k"), key=KUBE), pod("slurmd-0", gpus=8, host="gpu-1"))
    return made


def close(desk: Machines, key: NodeKey, hold: Hold, stage: Stage = Stage.IN_SERVICE) -> None:
    lab = desk.lab if key == SLURM else desk.kubernetes
    lab.change(key, admission=Admission.CORDONED, holds=(*lab.facts[key].node.holds, hold), stage=stage)


ROOT = Hold("root", "dust", HolderKind.UNNAMED)
MINE = Hold("oncall@desk", "dust", verb="cordon", operation="op-0")
CARRIED = Hold("slurm-operator", "slurm-operator: node was cordoned", HolderKind.CONTROLLER)


async def test_a_drain_closes_slurm_first_then_kubernetes_and_only_then_moves_work(desk: Machines) -> None:
    assert (await desk.does(Verb.DRAIN)).state is OperationState.DONE
    assert desk.done() == [
        (SLURM.source, "Close"),
        (KUBE.source, "Close"),
        (SLURM.source, "MoveWork"),
        (SLURM.source, "Mark"),
        (KUBE.source, "MoveWork"),
        (KUBE.source, "Mark"),
    ]


async def test_opening_goes_the_other_way(desk: Machines) -> None:
    await desk.does(Verb.CORDON)
    desk.lab.performed.clear()
    await desk.does(Verb.UNCORDON, operation="op-2")
    assert desk.done() == [(KUBE.source, "Release"), (SLURM.source, "Release")]
    assert {desk.side(side).admission for side in (KUBE, SLURM)} == {Admission.OPEN}


async def test_either_sides_name_is_the_machine_and_naming_both_is_naming_it_once(desk: Machines) -> None:
    plan = await desk.dispatcher.plan(replace(request(Verb.CORDON), nodes=(SLURM, KUBE)))
    assert [share.node for share in plan.nodes] == [KUBE]
    assert plan.hash == (await desk.planned(Verb.CORDON, SLURM)).hash


async def test_each_step_says_at_which_source_it_is_done(desk: Machines) -> None:
    plan = await desk.planned(Verb.CORDON)
    assert [step.says for step in plan.steps] == [
        "Slurm lab: close gpu-1 to new work",
        "Kubernetes prod: close gpu-1 to new work",
    ]
    assert plan.nodes[0].found.startswith("Slurm lab: in-service, open")


async def test_the_hash_covers_both_nodes_and_both_clusters(desk: Machines) -> None:
    before = (await desk.planned(Verb.CORDON)).hash
    desk.kubernetes.change(KUBE, uid="another")
    other_node = (await desk.planned(Verb.CORDON)).hash
    desk.lab.change(SLURM, holds=(ROOT,), admission=Admission.CORDONED)
    other_holder = (await desk.planned(Verb.CORDON)).hash
    desk.lab.identity_uid = "another cluster"
    hashes = {before, other_node, other_holder, (await desk.planned(Verb.CORDON)).hash}
    assert len(hashes) == 4


async def test_gpus_are_counted_once_in_what_a_drain_costs(desk: Machines) -> None:
    plan = await desk.planned(Verb.DRAIN, drain=replace(request(Verb.DRAIN).options.drain, requeue=True))
    assert plan.radius.gpus == 8
    assert plan.radius.capacity_left == (152, 160)


@pytest.mark.parametrize("verb", [Verb.DRAIN, Verb.GATE, Verb.RETIRE, Verb.REIMAGE])
async def test_verbs_are_refused_while_the_sides_disagree_and_both_truths_are_told(
    desk: Machines, verb: Verb
) -> None:
    close(desk, SLURM, ROOT)
    plan = await desk.planned(verb)
    (told,) = [each for each in plan.all_blockers if "disagree" in each.says]
    assert told.says == "its two sides disagree: Slurm lab: cordoned by root: dust; Kubernetes prod: open"
    assert "cordon it to close both" in told.go_on
    with pytest.raises(Blocked, match="disagree"):
        desk.dispatcher.start(plan)


async def test_a_check_that_writes_nothing_looks_at_both_while_they_disagree(desk: Machines) -> None:
    close(desk, SLURM, ROOT)
    ended = await desk.does(Verb.GATE, check_only=True)
    assert ended.state is OperationState.DONE
    assert desk.done() == []


async def test_a_cordon_ends_a_disagreement_by_closing_both_and_says_so(desk: Machines) -> None:
    close(desk, SLURM, ROOT)
    plan = await desk.planned(Verb.CORDON)
    assert any("this closes both" in warning for warning in plan.nodes[0].warnings)
    await desk.dispatcher.run(plan)
    assert desk.side(KUBE).admission is Admission.CORDONED


async def test_an_uncordon_ends_one_by_opening_both_and_never_over_a_colleagues_hold(desk: Machines) -> None:
    close(desk, SLURM, ROOT)
    assert any("held by root" in each.says for each in (await desk.planned(Verb.UNCORDON)).all_blockers)
    plan = await desk.planned(Verb.UNCORDON, take_over=("root",))
    assert any("this opens both" in warning for warning in plan.nodes[0].warnings)
    await desk.dispatcher.run(plan)
    assert desk.side(SLURM).admission is Admission.OPEN


async def test_a_twin_that_cant_be_told_blocks_naming_why(desk: Machines) -> None:
    desk.tie = Tie(KUBE, says="lab/nodes is unreachable: timed out", go_on="wait until lab answers")
    plan = await desk.planned(Verb.CORDON)
    assert plan.all_blockers[0].says == "lab/nodes is unreachable: timed out"
    assert plan.steps == ()


async def test_a_twin_that_cant_be_read_blocks_naming_its_source(desk: Machines) -> None:
    desk.lab.unread = Unreachable("no answer", about="scontrol")
    plan = await desk.planned(Verb.CORDON)
    (told, *_) = plan.all_blockers
    assert "its other side lab/gpu-1 can't be read" in told.says
    assert "no answer" in told.says
    assert told.go_on == "wait until lab answers"


async def test_a_twin_that_is_gone_blocks(desk: Machines) -> None:
    del desk.lab.facts[SLURM]
    assert (await desk.planned(Verb.DRAIN)).all_blockers[0].says == (
        "its other side lab/gpu-1 is not there any more"
    )


async def test_a_drain_that_fails_half_way_leaves_both_closed_and_both_say_why(desk: Machines) -> None:
    desk.lab.fails["MoveWork"] = TimedOut("job-41 still runs")
    ended = await desk.does(Verb.DRAIN)
    assert ended.state is OperationState.FAILED
    for side in (SLURM, KUBE):
        (hold,) = desk.side(side).holds
        assert desk.side(side).admission is Admission.CORDONED
        assert "job-41 still runs" in hold.reason, side
    left = ended.outcomes[-1].says
    assert left.startswith("left so: Slurm lab: cordoned by oncall@desk")
    assert "Kubernetes prod: cordoned" in left


async def test_a_side_that_somebody_opened_under_us_keeps_nothing_of_ours_and_the_other_stays_closed(
    desk: Machines,
) -> None:
    desk.kubernetes.holds["MoveWork"] = asyncio.Event()
    run = desk.dispatcher.start(await desk.planned(Verb.DRAIN))
    await desk.kubernetes.reached.wait()
    desk.kubernetes.change(KUBE, admission=Admission.OPEN)
    desk.kubernetes.fails["MoveWork"] = Conflict("somebody opened it")
    desk.kubernetes.holds["MoveWork"].set()
    ended = await desk.ended(run.operation.id)
    assert (desk.side(KUBE).admission, desk.side(KUBE).holds) == (Admission.OPEN, ())
    (hold,) = desk.side(SLURM).holds
    assert desk.side(SLURM).admission is Admission.CORDONED
    assert "somebody opened it" in hold.reason
    assert ended.outcomes[-1].says.endswith("Kubernetes prod: open")


async def test_where_kubernetes_cant_be_closed_that_is_said_with_both_truths(desk: Machines) -> None:
    desk.kubernetes.fails["Close"] = Conflict("changed since")
    ended = await desk.does(Verb.DRAIN)
    assert desk.side(SLURM).admission is Admission.CORDONED
    assert ended.outcomes[-1].says.endswith("Kubernetes prod: open")
    assert "changed since" in desk.side(SLURM).holds[0].reason


async def test_killed_between_the_sides_it_is_resumed_without_repetition(desk: Machines) -> None:
    whole = Machines()
    whole.lab.facts, whole.kubernetes.facts = dict(desk.lab.facts), dict(desk.kubernetes.facts)
    await whole.does(Verb.DRAIN)
    for records in range(1, len(whole.journal.written)):
        at = Machines()
        at.lab.facts, at.kubernetes.facts = dict(desk.lab.facts), dict(desk.kubernetes.facts)
        at.dies_after(records)
        at.dispatcher.start(await at.planned(Verb.DRAIN))
        with pytest.raises(Killed):
            await at.ended()
        at.lives_again()
        assert (await at.resumed()).state is OperationState.DONE, records
        # Moving work looks for itself how far it came: doing it twice is doing it once.
        assert list(dict.fromkeys(at.done())) == whole.done(), f"killed after {records} records"
        changes = [each for each in at.done() if each[1] != "MoveWork"]
        assert len(changes) == len(set(changes)), f"killed after {records} records"


async def test_resumed_after_somebody_opened_the_closed_side_it_is_not_gone_on_with(desk: Machines) -> None:
    desk.dies_after(3)  # started, Slurm's close intended and done
    desk.dispatcher.start(await desk.planned(Verb.DRAIN))
    with pytest.raises(Killed):
        await desk.ended()
    desk.lives_again()
    desk.lab.change(SLURM, admission=Admission.OPEN, holds=())
    ended = await desk.resumed()
    assert ended.state is OperationState.FAILED
    assert any("lab/gpu-1: somebody opened it" in outcome.says for outcome in ended.outcomes)
    assert desk.side(KUBE).admission is Admission.OPEN


async def test_a_cancelled_drain_puts_both_back_kubernetes_first(desk: Machines) -> None:
    run = desk.dispatcher.start(await desk.planned(Verb.DRAIN))
    desk.kubernetes.holds["MoveWork"] = asyncio.Event()
    await desk.kubernetes.reached.wait()
    desk.lab.performed.clear()
    run.request(Stop.CANCEL)
    assert (await desk.ended()).state is OperationState.CANCELLED
    assert desk.done() == [(KUBE.source, "Release"), (SLURM.source, "Release")]
    assert {desk.side(side).admission for side in (KUBE, SLURM)} == {Admission.OPEN}


async def test_slurm_is_not_opened_while_kubernetes_stays_shut(desk: Machines) -> None:
    for side in (SLURM, KUBE):
        close(desk, side, MINE)
    plan = await desk.planned(Verb.UNCORDON)
    perform = desk.kubernetes.perform

    async def and_a_colleague_comes(step: Any, progress: Any) -> Outcome:
        outcome = await perform(step, progress)
        close(desk, KUBE, ROOT)
        return outcome

    desk.kubernetes.perform = and_a_colleague_comes  # type: ignore[method-assign]
    ended = await desk.dispatcher.run(plan)
    assert ended.state is OperationState.FAILED
    assert desk.side(SLURM).admission is Admission.CORDONED
    assert any("prod/gpu-1 stays closed (held by root)" in each.says for each in ended.outcomes)


async def test_a_gate_that_passes_opens_kubernetes_then_slurm(desk: Machines) -> None:
    gate = Hold("oncall@desk", "after repair", verb="gate", operation="op-1")
    for side in (SLURM, KUBE):
        close(desk, side, gate, Stage.GATED)
    ended = await desk.does(Verb.GATE)
    assert ended.state is OperationState.DONE
    assert desk.done() == [(KUBE.source, "ApplyVerdict"), (SLURM.source, "ApplyVerdict")]
    assert {desk.side(side).admission for side in (KUBE, SLURM)} == {Admission.OPEN}


async def test_a_gate_that_fails_closes_slurm_first_and_quarantines_both(desk: Machines) -> None:
    for side in (SLURM, KUBE):
        close(desk, side, MINE)
    desk.lab.verdict = Verdict.FAIL
    assert (await desk.does(Verb.GATE)).state is OperationState.FAILED
    assert desk.done() == [(SLURM.source, "ApplyVerdict"), (KUBE.source, "ApplyVerdict")]
    assert {desk.side(side).stage for side in (KUBE, SLURM)} == {Stage.QUARANTINED}


async def test_one_sides_unknown_keeps_both_closed(desk: Machines) -> None:
    for side in (SLURM, KUBE):
        close(desk, side, MINE)

    async def findings(facts: NodeFacts, category: Any) -> Sequence[Finding]:
        verdict = Verdict.UNKNOWN if facts.node.key == SLURM else Verdict.PASS
        return (Finding("ready", verdict, "?", "ready", facts.node.key.source),)

    desk.lab.findings = findings  # type: ignore[method-assign]
    ended = await desk.does(Verb.GATE)
    assert ended.state is OperationState.FAILED
    assert {desk.side(side).admission for side in (KUBE, SLURM)} == {Admission.CORDONED}


async def test_what_telemetry_tells_by_one_sides_name_is_known_of_the_machine(desk: Machines) -> None:
    gate = Hold("oncall@desk", "after repair", verb="gate", operation="op-1")
    for side in (SLURM, KUBE):
        close(desk, side, gate, Stage.GATED)

    async def findings(facts: NodeFacts, category: Any) -> Sequence[Finding]:
        verdict = Verdict.UNKNOWN if facts.node.key == SLURM else Verdict.PASS
        return (Finding("telemetry", verdict, "8", "8", "dcgm"),)

    desk.lab.findings = findings  # type: ignore[method-assign]
    assert (await desk.does(Verb.GATE)).state is OperationState.DONE


async def test_a_side_that_goes_away_before_its_verdict_is_written_fails_that_machine_alone(
    desk: Machines,
) -> None:
    for side in (SLURM, KUBE):
        close(desk, side, MINE)

    async def findings(facts: NodeFacts, category: Any) -> Sequence[Finding]:
        desk.kubernetes.unread = Unreachable("Connection refused")
        return (Finding("gpus", Verdict.PASS),)

    desk.lab.findings = findings  # type: ignore[method-assign]
    ended = await desk.does(Verb.GATE)
    assert ended.state is OperationState.FAILED
    assert ended.outcomes[-1].says == "can't be checked: Connection refused"


async def test_a_colleagues_hold_on_one_side_keeps_both_closed_after_a_pass(desk: Machines) -> None:
    close(desk, SLURM, MINE)
    close(desk, KUBE, replace(MINE, by="colleague"))
    ended = await desk.does(Verb.GATE)
    assert ended.state is OperationState.DONE
    assert "still closed" in ended.says
    records = [desk.side(side).gate for side in (SLURM, KUBE)]
    assert all(isinstance(record, GateRecord) and record.verdict is Verdict.PASS for record in records)
    assert {desk.side(side).admission for side in (KUBE, SLURM)} == {Admission.CORDONED}


async def test_slinkys_own_hold_is_left_to_slinky_and_nobody_takes_it_over(desk: Machines) -> None:
    close(desk, KUBE, MINE)
    close(desk, SLURM, CARRIED)
    plan = await desk.planned(Verb.UNCORDON)
    assert plan.free_to_run
    assert [step.node for step in plan.steps] == [KUBE]
    (told,) = [each for each in plan.nodes[0].warnings if "slurm-operator" in each]
    assert "opens it again by itself" in told
    await desk.dispatcher.run(plan)
    assert desk.side(SLURM).holds == (CARRIED,)


async def test_a_cordon_of_slurm_that_slinky_carried_to_kubernetes_is_opened_by_slurm(desk: Machines) -> None:
    close(desk, SLURM, MINE)
    close(desk, KUBE, CARRIED)
    plan = await desk.planned(Verb.UNCORDON)
    assert [step.node for step in plan.steps] == [SLURM]
    assert (await desk.dispatcher.run(plan)).state is OperationState.DONE
    assert desk.side(SLURM).admission is Admission.OPEN


async def test_a_hold_of_slinkys_that_nobody_else_explains_is_a_colleagues(desk: Machines) -> None:
    close(desk, SLURM, CARRIED)
    close(desk, KUBE, CARRIED)
    assert any(
        "held by slurm-operator" in each.says for each in (await desk.planned(Verb.UNCORDON)).all_blockers
    )


async def test_no_imager_serves_both_sides_so_that_a_reimage_is_refused(desk: Machines) -> None:
    plan = await desk.planned(Verb.REIMAGE)
    (told,) = [each for each in plan.all_blockers if "imager" in each.says]
    assert "recreate serves Kubernetes prod alone" in told.says
    assert plan.steps == ()


async def test_a_retirement_removes_slurms_node_and_then_kubernetes(desk: Machines) -> None:
    await desk.does(Verb.RETIRE)
    assert desk.done()[-2:] == [(SLURM.source, "Remove"), (KUBE.source, "Remove")]


async def test_the_other_side_is_busy_too(desk: Machines) -> None:
    desk.kubernetes.holds["MoveWork"] = asyncio.Event()
    desk.dispatcher.start(await desk.planned(Verb.DRAIN))
    await desk.kubernetes.reached.wait()
    assert desk.dispatcher.busy(SLURM) is desk.dispatcher.busy(KUBE) is not None
    desk.kubernetes.holds["MoveWork"].set()
    await desk.ended()


async def test_a_pair_that_came_apart_since_it_was_shown_is_confirmed_again(desk: Machines) -> None:
    plan = await desk.planned(Verb.CORDON)
    desk.tie = None
    ended = await desk.dispatcher.run(plan)
    assert ended.state is OperationState.FAILED
    assert any("confirm it again" in each.says for each in ended.outcomes)
    assert {desk.side(side).admission for side in (KUBE, SLURM)} == {Admission.OPEN}


async def test_progress_of_either_side_is_the_machines(desk: Machines) -> None:
    run = desk.dispatcher.start(await desk.planned(Verb.DRAIN))
    await desk.ended()
    assert set(run.progress) == set(run.node_states) == {KUBE}


async def test_slurms_side_is_done_with_before_kubernetes_may_evict_its_slurmd(desk: Machines) -> None:
    perform = desk.kubernetes.perform

    async def and_the_dynamic_node_goes(step: Any, progress: Any) -> Outcome:
        if type(step.action).__name__ == "MoveWork":
            del desk.lab.facts[SLURM]
        return await perform(step, progress)

    desk.kubernetes.perform = and_the_dynamic_node_goes  # type: ignore[method-assign]
    assert (await desk.does(Verb.DRAIN)).state is OperationState.DONE
    assert desk.side(KUBE).stage is Stage.DRAINED
