"""Brakes on an operation over many nodes while it runs, and what it says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from fleet.errors import Denied, JournalFailed, Throttled, Unreachable
from fleet.health import Finding, Verdict
from fleet.operation import OperationState, Outcome, Progress, StepState
from fleet.plan import Permission, Step, Verb
from fleet.policy import Policy
from tests.desk import Desk
from tests.fakes import key, node, pod, request


def many(count: int, **changes: object) -> tuple[Desk, list[str]]:
    desk = Desk(Policy(max_parallel=1))
    names = [f"gpu-{number}" for number in range(1, count + 1)]
    for name in names:
        desk.lab.add(node(name, **changes), pod())
    return desk, names


async def test_nodes_that_failed_take_up_their_place_in_max_unavailable() -> None:
    """Two of twenty may be out of service: after two failures nothing new is taken out."""
    desk, names = many(12)
    desk.lab.verdict = Verdict.FAIL
    await desk.start(Verb.REIMAGE, *names)
    ended = await desk.ended()
    assert "as many nodes failed as may be unavailable (2); 10 nodes were not started" in ended.says


async def test_a_denied_read_at_a_nodes_turn_starts_no_new_node() -> None:
    desk, names = many(3)
    run = await desk.start(Verb.DRAIN, *names)
    desk.lab.unread = Denied("you may not get nodes")
    ended = await desk.ended()
    assert "not permitted; 2 nodes were not started" in ended.says
    assert run.node_states == {key("gpu-1"): StepState.FAILED}


async def test_a_feed_that_goes_stale_between_two_looks_is_heeded() -> None:
    desk, names = many(2)
    plan = await desk.dispatcher.plan(request(Verb.CORDON, *names))
    looks = iter([(), ("nodes",)])
    desk.dispatcher._stale = lambda: next(looks, ("nodes",))
    ended = await desk.dispatcher.run(plan)
    assert ended.says == "stopped: the feed nodes is stale; 1 node was not started"


async def test_permissions_are_asked_once_and_not_at_each_nodes_turn() -> None:
    desk, names = many(5)
    plan = await desk.dispatcher.plan(request(Verb.CORDON, *names))
    desk.lab.permission = Permission.DENIED
    assert (await desk.dispatcher.run(plan)).state is OperationState.DONE


async def test_a_node_is_not_over_before_its_last_step_is() -> None:
    desk, _ = many(1)
    run = await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    assert run.node_states == {key("gpu-1"): StepState.INTENDED}
    desk.lab.holds["MoveWork"].set()
    await desk.ended()
    assert run.node_states == {key("gpu-1"): StepState.DONE}


async def test_going_on_with_a_half_done_operation_comes_to_done() -> None:
    desk, names = many(2)
    await desk.start_and_hold(Verb.DRAIN, "Mark", *names)
    await desk.dispatcher.leave()
    desk.lab.holds.clear()
    ended = await desk.resumed()
    assert (ended.state, ended.says) == (OperationState.DONE, "done")


async def test_nodes_already_so_take_no_wave_and_no_step() -> None:
    desk, names = many(3)
    await desk.dispatcher.run(await desk.dispatcher.plan(request(Verb.CORDON, "gpu-2")))
    plan = await desk.dispatcher.plan(request(Verb.CORDON, *names, "gpu-1", operation="op-2"))
    assert [bool(share.steps) for share in plan.nodes] == [True, False, True]
    assert plan.waves == 2
    assert (await desk.dispatcher.run(plan)).state is OperationState.DONE
    assert desk.lab.names() == ["Close"] * 3


async def test_an_api_server_away_while_a_node_settles_does_not_fail_its_gate() -> None:
    desk, _ = many(1)
    findings, away = desk.lab.findings, [Unreachable("restarting")]

    async def restarting(facts: object, category: object) -> object:
        if away:
            raise away.pop()
        return await findings(facts, category)  # type: ignore[arg-type]

    desk.lab.findings = restarting  # type: ignore[assignment, method-assign]
    await desk.start(Verb.REIMAGE)
    assert (await desk.ended()).state is OperationState.DONE


BLIND = Finding("telemetry", Verdict.UNKNOWN, "no telemetry source is configured", final=True)


async def test_a_gate_that_no_waiting_can_open_says_so_at_the_first_look() -> None:
    desk, _ = many(1)
    looks: list[object] = []

    async def blind(facts: object, category: object) -> object:
        looks.append(facts)
        return (BLIND,)

    desk.lab.findings = blind  # type: ignore[assignment, method-assign]
    await desk.start(Verb.REIMAGE)
    assert (await desk.ended()).state is OperationState.FAILED
    assert len(looks) == 1


async def test_a_gate_waits_for_what_may_still_come_though_another_check_never_will() -> None:
    desk, _ = many(1)
    looks: list[float] = []

    async def late(facts: object, category: object) -> object:
        looks.append(desk.clock.monotonic())
        ready = Verdict.PASS if len(looks) > 3 else Verdict.FAIL
        return (BLIND, Finding("ready", ready, "False"))

    desk.lab.findings = late  # type: ignore[assignment, method-assign]
    run = await desk.start(Verb.REIMAGE)
    await desk.ended()
    assert len(looks) == 4
    assert run.records[key("gpu-1")].verdict is Verdict.UNKNOWN


async def test_an_operation_that_could_not_be_written_down_never_looks_alive() -> None:
    desk, _ = many(1)
    desk.journal.fails = True
    run = await desk.start(Verb.DRAIN)
    with pytest.raises(JournalFailed):
        await desk.ended()
    assert run.operation.state is OperationState.FAILED
    assert "nothing was done" in run.operation.says


async def test_a_bug_in_one_node_stops_the_others_and_is_told_at_once() -> None:
    desk, names = many(3)
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    desk.dispatcher = desk.another(Policy(max_parallel=3))
    desk.lab.holds["MoveWork"] = asyncio.Event()
    mistake = ZeroDivisionError("a bug")
    run = await desk.start(Verb.DRAIN, *names)
    await desk.lab.reached.wait()
    perform = desk.lab.perform

    async def broken(step: object, progress: object) -> object:
        raise mistake

    desk.lab.perform = broken  # type: ignore[assignment, method-assign]
    desk.lab.holds["MoveWork"].set()
    with pytest.raises(ZeroDivisionError):
        await desk.ended()
    assert told == [mistake]
    assert run.operation.state is OperationState.INTERRUPTED
    assert desk.dispatcher.running() == ()
    assert len(asyncio.all_tasks()) == 1
    desk.lab.perform = perform  # type: ignore[method-assign]
    assert (await desk.resumed()).state is OperationState.DONE


async def test_nothing_begins_once_the_program_leaves() -> None:
    desk, _ = many(1)
    plan = await desk.dispatcher.plan(request(Verb.CORDON))
    await desk.dispatcher.leave()
    with pytest.raises(Exception, match="leaving"):
        desk.dispatcher.start(plan)
    await desk.clock.advance(timedelta(seconds=1))
    assert desk.lab.performed == []


async def test_a_server_that_asks_to_slow_down_is_asked_again_and_not_for_ever() -> None:
    desk, _ = many(1)
    perform, slowed = desk.lab.perform, [Throttled("slow down", retry_after=timedelta(seconds=7))] * 3

    async def busy(step: Step, progress: Callable[[Progress], None]) -> Outcome:
        if slowed:
            raise slowed.pop()
        return await perform(step, progress)

    desk.lab.perform = busy  # type: ignore[method-assign]
    await desk.start(Verb.CORDON)
    assert (await desk.ended()).state is OperationState.DONE
    slowed.extend([Throttled("slow down")] * 100)
    await desk.start(Verb.UNCORDON, operation="op-2")
    assert (await desk.ended("op-2")).outcomes[0].says == "slow down; tried for 5 min"


async def test_a_drain_of_many_nodes_has_no_more_under_way_than_may_be_unavailable() -> None:
    """Two of twenty may be out of service: the third drain waits until one of them is over."""
    desk, names = many(12)
    run = await desk.start_and_hold(Verb.DRAIN, "MoveWork", *names)
    await desk.clock.advance(timedelta(minutes=1))
    assert list(run.node_states) == [key("gpu-1"), key("gpu-2")]
    desk.lab.holds["MoveWork"].set()
    assert (await desk.ended()).state is OperationState.DONE
