"""A checkpoint is judged from one look at the cluster: met with its evidence, or not, with what is there instead."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fleet.drill import Expectation, PodState, Shows
from fleet.drill_ground import PodSight
from fleet.drill_sight import Seen, judge, sight_of
from fleet.health import Finding, GateRecord, Verdict
from fleet.node import Admission, Stage
from fleet.plan import NodeFacts
from fleet.policy import Policy
from fleet.selection import parse
from fleet.workload import Budget
from tests.builders import NOW
from tests.fakes import node, pod

NAME = "gpu-1"
PENDING = PodSight("work", "uid-1", "Pending", scheduled=False, reason="0/3 nodes are available")
RUNNING = PodSight("work", "uid-1", "Running", NAME, scheduled=True)


def look(
    expectation: Expectation,
    facts: NodeFacts | None,
    *pods: PodSight,
    ran: str = "",
    waits: tuple[str, ...] | None = None,
) -> Seen:
    return judge(expectation, sight_of(NAME, facts, pods, Policy(), ran, waits))


def state(wanted: PodState, *pods: PodSight, ran: str = "") -> Seen:
    return look(Expectation(Shows.POD, pod=wanted), NodeFacts(node()), *pods, ran=ran)


def test_a_node_is_met_by_its_whole_selection_and_says_what_it_has() -> None:
    wanted = Expectation(Shows.NODE, parse("stage=in-service image=v1 admission=open"))
    seen = look(wanted, NodeFacts(node()))
    assert (seen.met, seen.says) == (True, "stage in-service, image v1, admission open")
    closed = look(wanted, NodeFacts(node(stage=Stage.GATED, admission=Admission.GATED)))
    assert not closed.met
    assert "stage gated (waits for stage=in-service)" in closed.says
    assert "image" not in closed.says
    assert look(wanted, None).says == "there is no node gpu-1"


def test_a_node_is_gone_only_when_the_cluster_has_none() -> None:
    assert look(Expectation(Shows.GONE), None).met
    assert "still there" in look(Expectation(Shows.GONE), NodeFacts(node())).says


@pytest.mark.parametrize(
    ("wanted", "pods", "ran", "met", "says"),
    [
        (PodState.PENDING, (PENDING,), "", True, "0/3 nodes are available"),
        (PodState.PENDING, (), "", False, "no pod yet"),
        (PodState.PENDING, (replace(PENDING, scheduled=None),), "", False, "no scheduler has said a word"),
        (PodState.PENDING, (RUNNING,), "", False, "is Running on gpu-1"),
        (PodState.PENDING, (replace(PENDING, going=True),), "", False, "no pod yet"),
        (PodState.RUNNING, (RUNNING,), "", True, "runs on gpu-1"),
        (PodState.RUNNING, (replace(RUNNING, node="gpu-2"),), "", False, "Running on gpu-2"),
        (PodState.RUNNING, (replace(PENDING, scheduled=None),), "", False, "no scheduler"),
        (PodState.EVICTED, (PENDING,), "uid-0", True, "is gone"),
        (PodState.EVICTED, (RUNNING,), "uid-1", False, "still there"),
        (PodState.EVICTED, (replace(RUNNING, going=True),), "uid-1", False, "stopping"),
        (PodState.EVICTED, (), "", False, "no pod was seen running before"),
        (PodState.BACK, (replace(RUNNING, uid="uid-2"),), "uid-1", True, "another pod"),
        (PodState.BACK, (RUNNING,), "uid-1", False, "is Running"),
        (PodState.BACK, (RUNNING,), "", False, "no pod was seen running before"),
    ],
)
def test_the_pods_states(
    wanted: PodState, pods: tuple[PodSight, ...], ran: str, met: bool, says: str
) -> None:
    seen = state(wanted, *pods, ran=ran)
    assert seen.met is met
    assert says in seen.says


def test_a_budget_is_met_only_once_the_drain_has_been_refused() -> None:
    budget = Budget("ml", "job-pdb", 0, healthy=1, needed=1, owner="team-ml")
    closed = NodeFacts(node(admission=Admission.CORDONED), placements=(pod(budgets=(budget,)),))
    wanted = Expectation(Shows.BUDGET)
    assert "has not asked" in look(wanted, closed, waits=()).says
    undrained = look(wanted, closed, waits=None)
    assert (undrained.met, undrained.says) == (
        False,
        "the node is closed, but no operation of ours drains it",
    )
    seen = look(wanted, closed, waits=("ml/job-0 waits for The disruption budget job-pdb needs 1",))
    assert seen.met
    assert "ml/job-pdb of team-ml holds ml/job-0" in seen.says
    assert "job-pdb needs 1" in seen.says
    assert not look(wanted, NodeFacts(node(), placements=closed.placements)).met
    assert not look(wanted, replace(closed, placements=(pod(),))).met


def test_a_finding_must_fail_and_be_of_that_check() -> None:
    record = GateRecord(Verdict.FAIL, (Finding("gpus", Verdict.FAIL, "7 GPUs", "8 GPUs"),))
    wanted = Expectation(Shows.FINDING, check="gpus")
    seen = look(wanted, NodeFacts(node(gate=record)))
    assert (seen.met, seen.says) == (True, "gate FAIL: gpus FAIL (7 GPUs, wants 8 GPUs)")
    assert not look(Expectation(Shows.FINDING, check="xid"), NodeFacts(node(gate=record))).met
    assert "no verdict yet" in look(wanted, NodeFacts(node())).says


@pytest.mark.parametrize(("ago", "met"), [(timedelta(seconds=1), False), (-timedelta(seconds=1), True)])
def test_a_verdict_from_before_the_step_is_none_of_its_doing(ago: timedelta, met: bool) -> None:
    record = GateRecord(Verdict.FAIL, (Finding("gpus", Verdict.FAIL, "7 GPUs", "8 GPUs"),), at=NOW - ago)
    wanted = Expectation(Shows.FINDING, check="gpus")
    seen = judge(wanted, sight_of(NAME, NodeFacts(node(gate=record)), (), Policy(), since=NOW))
    assert seen.met is met
    assert met or "from before this step" in seen.says


def test_texts_from_outside_are_cut_and_made_printable() -> None:
    nasty = replace(PENDING, reason="\x1b[31m" + "x" * 40_000)
    says = state(PodState.PENDING, nasty).says
    assert "\x1b" not in says
    assert len(says) <= 400
