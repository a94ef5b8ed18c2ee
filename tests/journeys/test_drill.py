"""The lifecycle drill on the simulated fleet over real HTTP: to its end, left, killed, and where it can't go on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.kubernetes.connection import Api
from backends.kubernetes.drill_ground import KubernetesDrillGround
from backends.kubernetes.kubeconfig import Access, User
from backends.simulated.objects import NAMESPACES
from backends.simulated.serve import Simulation
from fleet.drill_report import DrillReport, Ending, shape_of_report, text_of_report
from fleet.drill_standing import Phase
from fleet.drill_walk import DrillWalk
from fleet.errors import OutcomeUnknown, Unreachable
from fleet.operation import OperationState
from fleet.plan import Options, Request, Verb
from tests.drilled import SOURCE, Ground, ground
from tui.drill_file import load_drill, read_drill
from tui.exits import UNREACHABLE, code_of

DRILL = load_drill("lifecycle")
STEPS = range(len(list(DRILL.steps())))
FAST = timedelta(seconds=1)


async def alone(here: Ground, walk: DrillWalk) -> DrillReport:
    await walk.alone()
    return await walk.leave()


async def test_every_checkpoint_is_observed_with_its_evidence_and_nothing_is_left() -> None:
    async with ground() as here:
        report = await alone(here, here.walk(DRILL))
        assert (report.ending, report.why, report.left) == (Ending.OBSERVED, "", ())
        assert [each.observed for each in report.checkpoints] == [True] * len(STEPS)
        said = {each.step: " ".join(each.evidence) for each in report.checkpoints}
        steps = [step.title for _, step in DRILL.steps()]
        assert "untolerated taint {node.lab/health-gate: pending}" in said[steps[0]]
        assert "gpus FAIL (7 GPUs, wants 8 GPUs)" in said[steps[1]]
        assert "admission open" in said[steps[2]]
        assert "runs on" in said[steps[3]]
        assert "drill-budget" in said[steps[4]]
        assert "waits for budget " in said[steps[4]]
        assert "image v2" in said[steps[6]]
        assert "has no node" in said[steps[7]]
        assert here.traces() == []


async def test_the_report_tells_each_stages_time_evidence_and_keys() -> None:
    async with ground(stride=FAST) as here:
        report = await alone(here, here.walk(DRILL))
        shape = shape_of_report(report)
        assert [stage["stage"] for stage in shape["stages"]] == [stage.title for stage in DRILL.stages]  # type: ignore[attr-defined]
        assert shape["observed"] is True
        text = "\n".join(text_of_report(report))
        for checkpoint in report.checkpoints:
            assert checkpoint.evidence[0] in text
            assert checkpoint.by in ("auto", "watched")
        assert "nothing of the drill is left" in text


@pytest.mark.parametrize("number", STEPS)
async def test_left_at_any_step_it_leaves_nothing_behind_and_can_be_begun_again(number: int) -> None:
    async with ground(stride=FAST) as here:
        walk = here.walk(DRILL)
        walking = await here.walked_to(walk, number)
        walking.cancel()
        report = await walk.leave()
        assert report.ending is Ending.LEFT
        assert (report.left, here.traces()) == ((), [])
        again = here.walk(DRILL)
        await again.open()
        assert again.at.phase is Phase.ASKS
        assert again.traces.removed == ()
        await again.leave()
        assert here.traces() == []


@pytest.mark.parametrize("number", STEPS)
async def test_killed_at_any_step_the_next_start_finds_it_and_cleans_up(number: int) -> None:
    async with ground(stride=FAST) as here:
        killed = here.walk(DRILL)
        await here.kill(killed, await here.walked_to(killed, number))
        assert any(killed.fill("{namespace}") in trace for trace in here.traces())
        again = here.walk(DRILL)
        await again.open()
        assert len(again.traces.removed) == 1
        assert again.traces.left == ()
        assert not [trace for trace in here.traces() if killed.node.name in trace]
        states = {operation.state for operation in await here.journal.operations()}
        assert OperationState.INTERRUPTED not in states
        report = await again.leave()
        assert killed.fill("{namespace}") in report.removed[0]
        assert here.traces() == []


async def test_a_drill_that_is_still_walked_is_left_alone_and_one_gone_silent_is_not() -> None:
    async with ground(stride=FAST) as here:
        theirs, elsewhere = here.walk(DRILL), here.walk(DRILL, host="another-desk")
        here.living.add(1)
        await theirs.open()
        await elsewhere.open()
        mine = here.walk(DRILL)
        await mine.open()
        assert len(mine.traces.others) == 2
        assert "under way" in mine.traces.others[0]
        await mine.leave()
        assert len([trace for trace in here.traces() if trace.startswith("namespaces/")]) == 2
        await here.clock.advance(timedelta(minutes=3))
        later = here.walk(DRILL)
        await later.open()
        assert len(later.traces.removed) == 2
        await later.leave()
        assert here.traces() == []


async def test_without_a_scheduler_it_says_so_and_cleans_up() -> None:
    def stop(simulation: Simulation) -> None:
        simulation.world.scheduler.stop(stopped=True)

    async with ground(before=stop, stride=FAST) as here:
        report = await alone(here, here.walk(DRILL))
        assert report.ending is Ending.STUCK
        assert report.why.startswith("Provision, Make a node")
        assert "no scheduler has said a word" in report.why
        assert (report.left, here.traces()) == ((), [])


@pytest.mark.parametrize(
    ("verb", "resource", "stage", "says"),
    [
        ("create", "namespaces", "Provision", "the ground can't be made"),
        ("create", "nodes", "Provision", "not permitted to make nodes"),
        ("create", "deployments", "Provision", "can't look"),
        ("list", "pods", "Provision", "forbidden"),
        ("create", "pods/eviction", "Patch", "not permitted to reimage"),
    ],
)
async def test_without_a_permission_it_names_the_checkpoint_and_why_and_cleans_up(
    verb: str, resource: str, stage: str, says: str
) -> None:
    def deny(simulation: Simulation) -> None:
        simulation.api.permissions.deny(verb, resource)

    async with ground(before=deny, stride=FAST) as here:
        walk = here.walk(DRILL)
        report = await alone(here, walk)
        assert report.ending is Ending.STUCK
        assert report.why.startswith(f"{stage}, ")
        assert says in report.why
        assert walk.error is not None
        assert code_of(walk.error) == UNREACHABLE
        here.simulation.api.permissions.allow(verb, resource)
        if report.left:
            assert (verb, resource) == ("list", "pods")
        else:
            assert here.traces() == []


async def test_an_operator_who_may_make_no_ground_is_not_told_that_something_of_it_is_left() -> None:
    def deny(simulation: Simulation) -> None:
        for resource in ("namespaces", "deployments", "poddisruptionbudgets", "pods"):
            simulation.api.permissions.deny("create", resource)
            simulation.api.permissions.deny("delete", resource)

    async with ground(before=deny, stride=FAST) as here:
        report = await alone(here, here.walk(DRILL))
        assert (report.ending, report.left, here.traces()) == (Ending.STUCK, (), [])


async def test_a_server_that_can_not_be_reached_leaves_nothing_of_a_drill_and_hides_what_others_left() -> (
    None
):
    async with ground(stride=FAST) as here:
        access = Access("sim", "http://127.0.0.1:1", user=User(token="anybody"))
        away = Api(access, source=SOURCE, clock=here.clock, environ={})
        report = await alone(here, replace(here, api=away).walk(DRILL))
        await away.close()
        assert report.ending is Ending.STUCK
        assert report.left == ()
        assert len(report.unknown) == 1
        told = list(text_of_report(report))
        assert not any(line.startswith("STILL THERE") for line in told)
        assert any(line.startswith("NOT KNOWN: what a killed drill may have left") for line in told)
        assert "nothing of this drill was made" in told


async def test_what_may_have_been_made_is_said_to_be_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    async def cut_off() -> None:
        raise OutcomeUnknown("the answer was lost", about="namespaces")

    async def refused() -> tuple[str, ...]:
        raise Unreachable("connection refused", about="sim")

    async with ground(stride=FAST) as here:
        walk = here.walk(DRILL)
        monkeypatch.setattr(walk.walker.ground, "prepare", cut_off)
        monkeypatch.setattr(walk.walker.ground, "clean_up", refused)
        report = await alone(here, walk)
        assert report.left == (
            f"namespace {report.namespace}, which may have been made: sim: connection refused",
        )


async def test_the_node_is_named_once_it_was_begun_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused() -> tuple[str, ...]:
        raise Unreachable("connection refused", about="sim")

    async with ground(stride=FAST) as here:
        walk = here.walk(DRILL)
        walking = await here.walked_to(walk, 1)
        walking.cancel()
        monkeypatch.setattr(walk.walker.ground, "clean_up", refused)
        report = await walk.leave()
        assert report.left == (f"namespace {report.namespace}, node {report.node}: sim: connection refused",)


async def test_a_server_that_goes_away_while_it_is_cleaned_up_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with ground(stride=FAST) as here:
        walk = here.walk(DRILL)
        walking = await here.walked_to(walk, 1)
        walking.cancel()
        send = here.api.send

        async def goes_away(method: str, path: str, body: bytes = b"", **more: Any) -> bytes:
            answer = await send(method, path, body, **more)
            if method == "DELETE":
                await here.simulation.api.go_down()
            return answer

        monkeypatch.setattr(here.api, "send", goes_away)
        (left,) = (await walk.leave()).left
        assert left.startswith(f"namespace {walk.walker.ground.namespace}, node {walk.node.name}: ")


async def test_what_can_not_be_removed_is_said_and_found_by_the_next_drill() -> None:
    async with ground(stride=FAST) as here:
        walk = here.walk(DRILL)
        walking = await here.walked_to(walk, 1)
        walking.cancel()
        here.simulation.api.permissions.deny("delete", "nodes")
        report = await walk.leave()
        assert any(walk.node.name in line for line in report.left)
        assert any("by which the next drill finds the rest" in line for line in report.left)
        here.simulation.api.permissions.allow("delete", "nodes")
        again = here.walk(DRILL)
        await again.open()
        assert len(again.traces.removed) == 1
        await again.leave()
        assert here.traces() == []


async def test_a_wrong_verb_is_not_punished_and_can_be_taken_back() -> None:
    async with ground(stride=FAST) as here:
        walk = here.walk(DRILL)
        walking = await here.walked_to(walk, 6)
        walking.cancel()
        dispatcher = walk.walker.dispatcher
        (running,) = dispatcher.running()
        await dispatcher.finished(running.operation.id)
        cordon = Request(Verb.CORDON, (walk.node,), "oncall@desk", "wrong key", "op-wrong", Options())
        await dispatcher.run(await dispatcher.plan(cordon))
        await walk.look()
        assert not walk.at.seen[0].met
        assert "admission cordoned" in " ".join(seen.says for seen in walk.at.seen)
        uncordon = Request(Verb.UNCORDON, (walk.node,), "oncall@desk", "sorry", "op-sorry", Options())
        await dispatcher.run(await dispatcher.plan(uncordon))
        await here.looks_until_observed(walk, 7)
        assert [each.observed for each in walk.checkpoints] == [True] * 7
        await walk.leave()
        assert here.traces() == []


async def test_a_watched_operation_that_fails_is_said_at_once() -> None:
    async with ground(stride=FAST) as here:
        walk = here.walk(DRILL)
        walking = await here.walked_to(walk, 6)
        before = here.clock.now()
        (running,) = walk.walker.dispatcher.running()
        walk.walker.dispatcher.cancel(running.operation.id)
        await walking
        assert walk.at.phase is Phase.STUCK
        assert "cancel" in walk.at.trouble
        assert here.clock.now() - before < DRILL.stages[3].steps[2].within
        await walk.leave()
        assert here.traces() == []


async def test_nodes_of_others_are_never_removed() -> None:
    async with ground(stride=FAST) as here:
        names = {each["metadata"]["name"] for each in here.simulation.store.list(NAMESPACES)}
        before = set(here.simulation.world.hall._machines)
        report = await alone(here, here.walk(DRILL))
        assert report.observed
        assert {each["metadata"]["name"] for each in here.simulation.store.list(NAMESPACES)} == names
        assert before <= set(here.simulation.world.hall._machines)


async def test_a_fault_drill_needs_no_code() -> None:
    async with ground(stride=FAST) as here:
        report = await alone(here, here.walk(load_drill("xid")))
        assert report.observed, report.why
        assert "gpus FAIL" in " ".join(report.checkpoints[1].evidence)
        assert here.traces() == []


async def test_a_sites_own_drill_is_walked_like_the_packaged_one() -> None:
    own = """
title = "Only the gate"
says = "Make a node and see it pass."
image = "v1"

[[stage]]
title = "Gate"

[[stage.step]]
title = "It passes at once"
do = "provision"
image = "v1"
does = "A node is made."
why = "To see it pass."
cost = "Nothing."
expect = "It is open."
[[stage.step.checkpoint]]
node = "stage=in-service admission=open health=pass"
"""
    async with ground(stride=FAST) as here:
        report = await alone(here, here.walk(read_drill(own, Path("own.toml"))))
        assert report.observed
        assert here.traces() == []


def without_machines(walk: DrillWalk) -> DrillWalk:
    """The walk, on a cluster that can't be asked to break: GPUs are then written into the node's status, as on KWOK."""
    assert isinstance(walk.walker.ground, KubernetesDrillGround)
    walk.walker.ground._simulated = False
    return walk


async def test_without_machines_the_gpus_are_written_into_the_nodes_status() -> None:
    async with ground() as here:
        report = await alone(here, without_machines(here.walk(DRILL)))
        assert report.observed, report.why
        assert "gpus FAIL (7 GPUs, wants 8 GPUs)" in " ".join(report.checkpoints[1].evidence)
        assert here.traces() == []


async def test_a_fault_that_can_not_be_made_here_is_said_at_its_checkpoint() -> None:
    async with ground(stride=FAST) as here:
        report = await alone(here, without_machines(here.walk(load_drill("xid"))))
        assert report.ending is Ending.STUCK
        assert "on a simulated fleet only" in report.why
        assert here.traces() == []
