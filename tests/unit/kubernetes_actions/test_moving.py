"""A drain's pace, its words and its ends, on a clock that only the test moves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from backends.kubernetes.errors import BudgetHolds
from backends.kubernetes.evictions import AT_ONCE
from fleet.errors import (
    Conflict,
    Denied,
    FleetError,
    Missing,
    OutcomeUnknown,
    Throttled,
    TimedOut,
    Unreachable,
)
from fleet.holder import Hold
from fleet.node import Admission, Readiness
from fleet.operation import Outcome, Progress, StepState
from fleet.plan import Close, DrainOptions, MoveWork
from fleet.workload import Budget, Keeper, Placement, WorkloadId
from tests.unit.kubernetes_actions.fakes import KEY, Lab

SECOND = timedelta(seconds=1)
WEB = Placement("team", "web-1", "p1", WorkloadId("team", "Deployment", "web"), Keeper.CONTROLLER)
API = replace(WEB, name="api-1", uid="p2")
BUDGETED = replace(WEB, budgets=(Budget("team", "web-pdb", 0, 3, 3, owner="web"),))
CAUSE = "The disruption budget web-pdb needs 3 healthy pods and has 3 currently"


def holds(retry_after: timedelta | None = None) -> BudgetHolds:
    return BudgetHolds("Cannot evict pod", about="x", causes=(CAUSE,), retry_after=retry_after)


class Moving:
    """A drain under way."""

    def __init__(
        self, lab: Lab, options: DrainOptions | None = None, deadline: timedelta = timedelta(minutes=10)
    ) -> None:
        self.lab = lab
        self.told: list[Progress] = []
        if lab.api.node is not None:
            lab.api.node["spec"]["unschedulable"] = True
        action = MoveWork(options or DrainOptions(), deadline)
        self.task = asyncio.create_task(lab.writer.perform(lab.step(action), self.told.append))

    async def after(self, span: timedelta) -> None:
        for _ in range(int(span / SECOND)):
            await self._settle()
            await self.lab.clock.advance(SECOND)
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def ended(self) -> Outcome:
        for _ in range(2000):
            if self.task.done():
                break
            await self.after(SECOND)
        return await self.task


async def test_a_pod_is_asked_once_and_waited_for() -> None:
    lab = Lab()
    lab.reader.turns = [(WEB,), (replace(WEB, terminating_since=lab.clock.now()),), ()]
    outcome = await Moving(lab).ended()
    assert outcome == Outcome("lab/n1/1", KEY, StepState.DONE, "1 moved")
    assert lab.api.evicted == ["web-1"]
    (_, path, body) = lab.api.sent[0]
    assert path == "/api/v1/namespaces/team/pods/web-1/eviction"
    assert body["deleteOptions"] == {"preconditions": {"uid": "p1"}}


async def test_a_grace_that_was_asked_for_is_passed_on() -> None:
    lab = Lab()
    lab.reader.turns = [(WEB,), ()]
    await Moving(lab, DrainOptions(grace=timedelta(seconds=7))).ended()
    assert lab.api.sent[0][2]["deleteOptions"]["gracePeriodSeconds"] == 7


async def test_a_budget_is_asked_again_every_five_seconds_and_named_with_its_owner() -> None:
    lab = Lab()
    lab.reader.turns = [(BUDGETED,)]
    lab.api.refusals["web-1"] = [holds() for _ in range(100)]
    moving = Moving(lab)
    began = lab.clock.now()
    await moving.after(timedelta(seconds=30))
    assert 4 <= len(lab.api.sent) <= 7
    (wait,) = moving.told[-1].waiting
    assert (wait.what, wait.since) == ("team/web-1", began)
    assert wait.says == "budget team/web-pdb needs 3 healthy pods and has 3 (owner: web): team/web-1"
    assert moving.told[-1].says == "0 of 1 gone, 1 held back"
    moving.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving.task


async def test_a_wait_that_the_server_asked_for_is_kept() -> None:
    lab = Lab()
    lab.reader.turns = [(BUDGETED,)]
    lab.api.refusals["web-1"] = [holds(timedelta(seconds=20)), holds()]
    moving = Moving(lab)
    await moving.after(timedelta(seconds=18))
    assert len(lab.api.sent) == 1
    await moving.after(timedelta(seconds=10))
    assert len(lab.api.sent) == 2
    moving.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving.task


@pytest.mark.parametrize(
    "error", [Missing("gone"), Conflict("another uid"), OutcomeUnknown("lost"), Unreachable("down")]
)
async def test_an_eviction_that_failed_is_decided_by_looking_again(error: FleetError) -> None:
    lab = Lab()
    lab.reader.turns = [(WEB,), ()]
    lab.api.refusals["web-1"] = [error]
    assert (await Moving(lab).ended()).state is StepState.DONE


async def test_a_throttled_eviction_says_so_and_is_tried_again() -> None:
    lab = Lab()
    lab.reader.turns = [(WEB,), (WEB,), (WEB,), (WEB,), (WEB,), ()]
    lab.api.refusals["web-1"] = [Throttled("busy", retry_after=timedelta(seconds=2))]
    moving = Moving(lab)
    assert (await moving.ended()).state is StepState.DONE
    assert lab.api.evicted == ["web-1"]
    assert any("slow down" in wait.on for progress in moving.told for wait in progress.waiting)


async def test_a_denied_eviction_ends_it() -> None:
    lab = Lab()
    lab.reader.turns = [(WEB, API)]
    lab.api.refusals = {"web-1": [Denied("no")], "api-1": [Denied("no")]}
    with pytest.raises(Denied):
        await Moving(lab).ended()


async def test_a_server_that_comes_up_without_its_roles_is_asked_again() -> None:
    lab = Lab()
    refused = Denied("nodes is forbidden: clusterrole not found")
    lab.reader.turns = [(WEB,), Unreachable("refused"), refused, refused, ()]
    moving = Moving(lab)
    assert (await moving.ended()).state is StepState.DONE
    assert any("not found" in progress.says for progress in moving.told)


async def test_a_right_that_is_lost_for_good_ends_it() -> None:
    lab = Lab()
    lab.reader.turns = [(WEB,), Denied("forbidden")]
    moving = Moving(lab)
    with pytest.raises(Denied):
        await moving.ended()
    assert lab.clock.monotonic() < 1000 + 120


async def test_a_look_that_was_never_allowed_ends_it_at_once() -> None:
    lab = Lab()
    lab.reader.turns = [Denied("forbidden")]
    with pytest.raises(Denied):
        await Moving(lab).ended()
    assert lab.reader.looks == 1


async def test_work_that_lands_meanwhile_is_moved_too() -> None:
    lab = Lab()
    lab.reader.turns = [(WEB,), (API,), ()]
    moving = Moving(lab)
    assert (await moving.ended()).says == "2 moved"
    assert lab.api.evicted == ["web-1", "api-1"]


async def test_what_lands_meanwhile_and_needs_an_option_stops_it_by_name() -> None:
    lab = Lab()
    lab.reader.turns = [(WEB,), (replace(API, keeper=Keeper.NOBODY),)]
    outcome = await Moving(lab).ended()
    assert outcome.state is StepState.FAILED
    assert "team/api-1" in outcome.says
    assert "stopped with 0 of 1 gone" in outcome.says


async def test_a_look_that_fails_is_tried_again_until_the_deadline() -> None:
    lab = Lab()
    lab.reader.turns = [(WEB,), Unreachable("refused"), Unreachable("refused"), ()]
    moving = Moving(lab)
    assert (await moving.ended()).state is StepState.DONE
    assert any("trying again: refused" in progress.says for progress in moving.told)


async def test_the_deadline_ends_it_even_with_nobody_answering() -> None:
    lab = Lab()
    lab.reader.turns = [Unreachable("refused")]
    with pytest.raises(TimedOut, match="it stays closed; left: unknown; can't look at the node"):
        await Moving(lab, deadline=timedelta(seconds=30)).ended()


async def test_the_deadline_names_what_is_left() -> None:
    lab = Lab()
    lab.reader.turns = [(BUDGETED,)]
    lab.api.refusals["web-1"] = [holds() for _ in range(100)]
    with pytest.raises(TimedOut) as caught:
        await Moving(lab, deadline=timedelta(seconds=30)).ended()
    assert "team/web-1 (budget team/web-pdb needs 3 healthy pods and has 3, owner: web)" in str(caught.value)


async def test_two_budgets_over_one_pod_are_said_to_need_a_person() -> None:
    lab = Lab()
    two = replace(WEB, budgets=(Budget("team", "a", 1), Budget("team", "b", 1)))
    lab.reader.turns = [(two,)]
    lab.api.refusals["web-1"] = [holds()] * 100
    with pytest.raises(TimedOut, match=r"more than one budget covers it \(team/a, team/b\)"):
        await Moving(lab, deadline=timedelta(seconds=10)).ended()


async def test_a_stopping_pod_on_an_unreachable_node_is_said_to_never_finish() -> None:
    lab = Lab()
    lab.reader.node = replace(lab.reader.node, readiness=Readiness.UNKNOWN)
    lab.reader.turns = [(replace(WEB, terminating_since=lab.clock.now()),)]
    with pytest.raises(TimedOut, match="unreachable: its eviction can't finish"):
        await Moving(lab, deadline=timedelta(seconds=10)).ended()
    assert lab.api.evicted == []


async def test_a_node_that_somebody_opened_is_not_drained_further() -> None:
    lab = Lab()
    lab.reader.node = replace(lab.reader.node, admission=Admission.OPEN)
    lab.reader.turns = [(WEB,)]
    with pytest.raises(Conflict, match="somebody opened it"):
        await Moving(lab).ended()
    assert lab.api.sent == []


async def test_a_node_that_somebody_opens_among_many_evictions_loses_only_the_few_under_way() -> None:
    lab = Lab()
    lab.reader.turns = [tuple(replace(WEB, name=f"web-{n}", uid=f"p{n}") for n in range(35))]
    send = lab.api.send

    async def opened_after_ten(method: str, path: str, body: bytes = b"", **more: object) -> bytes:
        answer = await send(method, path, body, **more)
        if len(lab.api.evicted) == AT_ONCE and lab.api.node is not None:
            lab.api.node["spec"].clear()
        return answer

    lab.api.send = opened_after_ten  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="somebody opened it"):
        await Moving(lab).ended()
    assert len(lab.api.evicted) == AT_ONCE


def wrote(manager: str, minute: int, **more: str) -> dict[str, str]:
    return {"manager": manager, "operation": "Update", "time": f"2026-03-01T03:{minute:02}:00Z", **more}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            [wrote("lens", 9), wrote("early", 3), wrote("quarterdeck", 5)],
            r"opened it \(last written to by lens at 03:09:00 UTC\), so",
        ),
        ([wrote("lens", 3), wrote("quarterdeck", 5)], "opened it, so"),
        ([wrote("kube-controller-manager", 9), wrote("quarterdeck", 5)], "opened it, so"),
        ([wrote("agent", 9, subresource="status"), wrote("quarterdeck", 5)], "opened it, so"),
        ([wrote("lens", 9)], "opened it, so"),
        ([{"manager": "lens", "time": "noon"}, {"manager": "quarterdeck"}], "opened it, so"),
        ([None, wrote("quarterdeck", 5)], "opened it, so"),
        ([{"manager": None, "time": 5}], "opened it, so"),
        ("none", "opened it, so"),
        (
            [wrote("\x1b[2J[red]" + "x" * 40_000, 9), wrote("quarterdeck", 5)],
            r"opened it \(last written to by \[red\]x{0,60}\S{0,3} at 03:09:00 UTC\), so",
        ),
    ],
)
async def test_whoever_wrote_to_an_opened_node_since_we_did_is_named_where_that_can_be_read(
    fields: object, says: str
) -> None:
    lab = Lab()
    assert lab.api.node is not None
    lab.api.node["metadata"]["managedFields"] = fields
    lab.reader.node = replace(lab.reader.node, admission=Admission.OPEN)
    lab.reader.turns = [(WEB,)]
    with pytest.raises(Conflict, match=says):
        await Moving(lab).ended()


async def test_a_node_whose_history_nobody_can_read_is_changed_all_the_same() -> None:
    lab = Lab()
    assert lab.api.node is not None
    lab.api.node["metadata"]["managedFields"] = [{"manager": None}]
    hold = Hold("oncall@desk", "maintenance", verb="drain", operation="op-3")
    outcome = await lab.writer.perform(lab.step(Close(hold)), lambda progress: None)
    assert outcome.state is StepState.DONE


async def test_another_machine_of_that_name_is_not_drained() -> None:
    lab = Lab()
    lab.reader.node = replace(lab.reader.node, uid="u9")
    lab.reader.turns = [(WEB,)]
    with pytest.raises(Conflict, match="another machine"):
        await Moving(lab).ended()
