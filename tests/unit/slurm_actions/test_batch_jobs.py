"""Plans over nodes that run batch jobs: they end in their own time, unless the drain was told to requeue them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fleet.category import SLURM_REBOOT, Category
from fleet.plan import DrainOptions, Ground, NodeFacts, Plan, Request, Verb
from fleet.planning import plan
from fleet.policy import Policy
from fleet.verbs.drain_filters import sort_placements
from fleet.workload import Keeper, Placement, WorkloadId
from tests.clocks import START
from tests.fakes import key, node, request

JOB = Placement(
    "",
    "71",
    "71",
    WorkloadId("research", "Job", "71"),
    Keeper.CONTROLLER,
    gpus=8,
    user="oncall",
    time_left=timedelta(hours=3),
    waits=True,
)
INTERACTIVE = replace(JOB, name="72", uid="72", keeper=Keeper.NOBODY, time_left=None, gpus=0)
REQUEUE = DrainOptions(requeue=True)


def planned(
    verb: Verb,
    *jobs: Placement,
    options: DrainOptions | None = None,
    reboots: bool = True,
    imager: str = SLURM_REBOOT,
) -> Plan:
    asked: Request = request(verb)
    asked = replace(asked, options=replace(asked.options, drain=options or DrainOptions(), image="v2"))
    facts = {key("gpu-1"): NodeFacts(replace(node(), reboots=reboots, replaceable=False), placements=jobs)}
    policy = Policy(categories={"h100": Category("h100", imager=imager)})
    return plan(asked, Ground(facts), policy, START)


def blocked(found: Plan) -> str:
    return " | ".join(f"{blocker.says} > {blocker.go_on}" for blocker in found.all_blockers)


def test_a_drain_waits_for_jobs_whoever_keeps_them_and_names_them() -> None:
    found = planned(Verb.DRAIN, JOB, INTERACTIVE)
    assert found.free_to_run
    assert found.nodes[0].moves == ()
    (named, late, later) = found.nodes[0].warnings
    assert "71 (user oncall, 3 h 0 min left, 8 GPUs)" in named
    assert "72 (user oncall, no time limit, can't be requeued)" in named
    assert late == "71 may run past the deadline of 1 h: --requeue starts it anew elsewhere"
    assert later == "72 may run past the deadline of 1 h, and can't be requeued"
    assert "wait for 2 jobs to end" in found.steps[1].says


def test_a_drain_that_requeues_takes_jobs_off_and_blocks_for_those_that_would_be_lost() -> None:
    found = planned(Verb.DRAIN, JOB, INTERACTIVE, options=REQUEUE)
    assert "72 can't be requeued, so it would be lost" in blocked(found)
    assert "--force" in blocked(found)
    forced = planned(Verb.DRAIN, JOB, INTERACTIVE, options=replace(REQUEUE, force=True))
    assert forced.free_to_run
    assert forced.radius.jobs_lost == ("72",)
    assert any("start anew" in warning for warning in forced.nodes[0].warnings)
    assert "requeue 1 job, end 1 job for good" in forced.steps[1].says
    assert forced.radius.moving == "2 jobs move"


@pytest.mark.parametrize("phase", ["SUSPENDED", "STOPPED"])
def test_a_job_that_does_not_run_is_said_never_to_end_by_itself(phase: str) -> None:
    named, halted, _ = planned(Verb.DRAIN, replace(JOB, phase=phase)).nodes[0].warnings
    assert f"8 GPUs, {phase.lower()})" in named
    assert halted == "71 will not end until somebody lets it run"


def test_a_suspended_job_is_said_to_be_held_once_it_is_requeued() -> None:
    warnings = planned(Verb.DRAIN, replace(JOB, phase="SUSPENDED"), options=REQUEUE).nodes[0].warnings
    assert "71 is suspended: requeued it is held, until somebody releases it" in warnings
    stopped = planned(Verb.DRAIN, replace(JOB, phase="STOPPED"), options=REQUEUE).nodes[0].warnings
    assert not any("held" in warning for warning in stopped)


def test_jobs_that_are_ending_are_waited_for_either_way() -> None:
    ending = replace(JOB, terminating_since=START)
    for options in (DrainOptions(), REQUEUE):
        assert sort_placements([ending], options).leaving == (ending,)


def test_requeueing_is_part_of_what_is_confirmed() -> None:
    assert planned(Verb.DRAIN, JOB).hash != planned(Verb.DRAIN, JOB, options=REQUEUE).hash


def test_a_reimage_by_slurm_needs_a_slurm_that_can_reboot() -> None:
    assert planned(Verb.REIMAGE, JOB).free_to_run
    assert "RebootProgram" in blocked(planned(Verb.REIMAGE, JOB, reboots=False))


@pytest.mark.parametrize("verb", [Verb.REIMAGE, Verb.RETIRE])
def test_every_verb_that_drains_says_what_it_waits_for(verb: Verb) -> None:
    assert any("waits for 1 to end" in warning for warning in planned(verb, JOB).nodes[0].warnings)
