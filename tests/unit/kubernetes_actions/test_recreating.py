"""Nodes made again: nothing is lost, whenever the call, the answer or the program is."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from fleet.errors import Blocked, Conflict, Missing, OutcomeUnknown, Rejected, Unreachable
from fleet.holder import Hold
from fleet.node import Image
from fleet.operation import Effect, Outcome, StepState
from fleet.plan import Before, Close, PutImage, Remove, Step
from fleet.workload import Keeper, Placement, WorkloadId
from tests.unit.kubernetes_actions.fakes import Lab

HOLD = Hold("oncall", "patch", verb="reimage", operation="op-1")
PUT = PutImage("v2", "recreate", HOLD)
DAEMON = Placement(
    "kube-system", "agent", "d1", WorkloadId("kube-system", "DaemonSet", "agent"), Keeper.DAEMON
)
FINISHED = Placement(
    "team",
    "done",
    "p1",
    WorkloadId("team", "Job", "done"),
    Keeper.CONTROLLER,
    phase="Succeeded",
    finished=True,
)


async def closed() -> Lab:
    lab = Lab()
    await lab.writer.perform(lab.step(Close(HOLD, gate=True)), lambda progress: None)
    return lab


async def performed(lab: Lab, step: Step) -> Outcome:
    """Perform a step, moving the clock whenever it waits."""
    task = asyncio.create_task(lab.writer.perform(step, lambda progress: None))
    for _ in range(400):
        for _ in range(20):
            await asyncio.sleep(0)
        if task.done():
            break
        await lab.clock.advance(timedelta(seconds=1))
    return await task


async def test_a_step_carries_what_makes_the_node_again_before_anything_is_deleted() -> None:
    lab = await closed()
    step = await lab.writer.prepare(lab.step(PUT))
    manifest = json.loads(step.before.manifest)
    assert manifest["metadata"]["labels"]["node.lab/image-version"] == "v2"
    assert manifest["metadata"]["annotations"]["node.lab/operation"] == "op-1"
    assert "uid" not in manifest["metadata"]
    assert manifest["spec"]["unschedulable"] is True
    assert [taint["key"] for taint in manifest["spec"]["taints"]] == ["node.lab/health-gate"]


async def test_a_step_that_was_not_prepared_deletes_nothing() -> None:
    lab = await closed()
    with pytest.raises(Rejected, match="not prepared"):
        await performed(lab, lab.step(PUT))
    assert lab.api.node is not None


async def test_a_delete_whose_answer_is_lost_is_looked_at_before_it_is_sent_again() -> None:
    lab = await closed()
    step = await lab.writer.prepare(lab.step(PUT))
    lab.api.fail = [OutcomeUnknown("lost")]
    assert (await performed(lab, step)).state is StepState.DONE
    assert [method for method, _, _ in lab.api.sent].count("DELETE") == 2


async def test_a_create_is_tried_again_while_the_server_is_away() -> None:
    lab = await closed()
    step = await lab.writer.prepare(lab.step(PUT))
    lab.api.fail = [None, Unreachable("refused"), Unreachable("refused")]
    assert (await performed(lab, step)).state is StepState.DONE
    assert lab.api.node is not None


async def test_a_create_that_stays_away_is_unknown_and_made_by_doing_the_step_again() -> None:
    lab = await closed()
    step = await lab.writer.prepare(lab.step(PUT))
    lab.api.fail = [None, *(Unreachable("refused") for _ in range(300))]
    with pytest.raises(OutcomeUnknown, match="resume makes it"):
        await performed(lab, step)
    assert lab.api.node is None
    assert await lab.writer.effect_of(step) is Effect.NOT
    assert await lab.writer.prepare(step) == step
    lab.api.fail = []
    assert (await performed(lab, step)).state is StepState.DONE
    assert await lab.writer.effect_of(step) is Effect.TOOK


async def test_a_cancel_in_the_middle_still_makes_the_node() -> None:
    lab = await closed()
    step = await lab.writer.prepare(lab.step(PUT))
    lab.api.fail = [None, Unreachable("refused")]
    task = asyncio.create_task(lab.writer.perform(step, lambda progress: None))
    while "DELETE" not in [method for method, _, _ in lab.api.sent]:
        await asyncio.sleep(0)
    task.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
        await lab.clock.advance(timedelta(seconds=1))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lab.api.node is not None
    assert await lab.writer.effect_of(step) is Effect.TOOK


async def test_a_node_that_changes_under_the_delete_is_looked_at_again() -> None:
    lab = await closed()
    step = await lab.writer.prepare(lab.step(PUT))
    lab.api.fail = [Conflict("the precondition failed")]
    lab.api.touch(ticket="7")
    assert (await performed(lab, step)).state is StepState.DONE
    assert lab.api.node is not None
    assert lab.api.node["metadata"]["annotations"]["ticket"] == "7"


async def test_even_a_finished_pod_keeps_the_node() -> None:
    lab = await closed()
    step = await lab.writer.prepare(lab.step(PUT))
    lab.reader.turns = [(DAEMON, FINISHED)]
    with pytest.raises(Blocked, match="team/done"):
        await performed(lab, step)
    assert lab.api.node is not None


async def test_a_node_of_somebody_else_in_our_place_is_unknown_not_ours() -> None:
    lab = await closed()
    step = await lab.writer.prepare(lab.step(PUT))
    assert lab.api.node is not None
    lab.api.node["metadata"]["uid"] = "u9"
    assert await lab.writer.effect_of(step) is Effect.UNKNOWN
    with pytest.raises(Conflict, match="another machine"):
        await performed(lab, step)


async def test_a_missing_node_without_a_manifest_is_missing() -> None:
    lab = await closed()
    lab.api.node = None
    with pytest.raises(Missing):
        await lab.writer.prepare(lab.step(PUT))
    with pytest.raises(Missing):
        await performed(lab, lab.step(PUT))


async def test_what_was_found_before_our_first_step_is_kept_when_a_later_one_is_prepared() -> None:
    lab = await closed()
    step = await lab.writer.prepare(lab.step(Remove(), Before(uid="u1", unschedulable=False)))
    assert step.before.unschedulable is False


async def test_a_remove_deletes_exactly_the_version_it_saw() -> None:
    lab = await closed()
    lab.api.fail = [Conflict("the precondition failed"), OutcomeUnknown("lost")]
    assert (await performed(lab, lab.step(Remove()))).state is StepState.DONE
    deletes = [body for method, _, body in lab.api.sent if method == "DELETE"]
    assert len(deletes) == 3
    assert all(body["preconditions"]["uid"] == "u1" for body in deletes)


async def test_a_change_that_is_stale_each_time_is_a_conflict_in_the_end() -> None:
    lab = Lab()
    lab.api.fail = [Conflict("modified") for _ in range(20)]
    with pytest.raises(Conflict, match="it changed under each of 6 tries"):
        await performed(lab, lab.step(Close(HOLD)))


@pytest.mark.parametrize(
    ("noted", "wanted", "then"),
    [("v1", "v1", "v2"), (None, "v1", "v2"), (None, "v2", None), (None, None, None), ("v2", "v2", "v2")],
)
async def test_an_image_that_was_asked_for_is_the_one_that_is_desired_from_then_on(
    noted: str | None, wanted: str | None, then: str | None
) -> None:
    lab = await closed()
    if noted is not None:
        lab.api.touch(**{"node.lab/desired-image": noted})
    lab.reader.node = replace(lab.reader.node, image=Image("v1", "", wanted))
    step = await lab.writer.prepare(lab.step(PUT))
    assert json.loads(step.before.manifest)["metadata"]["annotations"].get("node.lab/desired-image") == then
    await performed(lab, step)
    assert lab.api.node is not None
    assert lab.api.node["metadata"]["annotations"].get("node.lab/desired-image") == then
