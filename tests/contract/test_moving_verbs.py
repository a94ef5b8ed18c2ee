"""Moving work off a node: within the rules, saying what is waited for, and with an end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from backends.kubernetes.our_keys import KEEP_AWAY
from fleet.category import Category
from fleet.dispatch import Dispatcher
from fleet.errors import Conflict, Denied, TimedOut
from fleet.health import Finding
from fleet.node import NodeKey, Stage
from fleet.operation import Effect, OperationState, StepState
from fleet.plan import Close, DrainOptions, MoveWork, NodeFacts, Release, Request, Verb
from fleet.policy import Policy
from tests.contract.limited import deny
from tests.contract.orchestrator import KEYS, Orchestrator
from tests.fakes import MemoryJournal

LONG = timedelta(minutes=5)
SHORT = timedelta(seconds=20)


class Nothing:
    """A checker of a drain, which checks nothing."""

    async def findings(self, facts: NodeFacts, category: Category) -> Sequence[Finding]:
        return ()


async def close(orchestrator: Orchestrator, node: NodeKey) -> None:
    await orchestrator.perform(node, Close(orchestrator.hold("drain"), Stage.DRAINING))


async def apps(orchestrator: Orchestrator, node: NodeKey) -> set[str]:
    """The apps of this test that have live pods on the node."""
    return {
        pod["metadata"]["labels"]["app"]
        for pod in await orchestrator.pods(node)
        if pod["metadata"]["namespace"].startswith(orchestrator.run)
        and "deletionTimestamp" not in pod["metadata"]
        and pod["status"].get("phase") not in ("Succeeded", "Failed")
    }


async def test_work_moves_away_and_daemonset_pods_are_left_alone(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space, 3)
    await orchestrator.daemon(node, space)
    await close(orchestrator, node)
    outcome = await orchestrator.perform(node, MoveWork(DrainOptions(), LONG))
    assert outcome.state is StepState.DONE
    assert await apps(orchestrator, node) == {"agent"}
    facts = await orchestrator.facts(node)
    assert facts.unschedulable
    assert [hold.by for hold in facts.node.holds] == ["oncall"]


async def test_progress_is_told_while_work_moves(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space, 3)
    await close(orchestrator, node)
    await orchestrator.perform(node, MoveWork(DrainOptions(), LONG))
    told = [progress for progress in orchestrator.progress if progress.total]
    assert told
    assert max(progress.total for progress in told) == 3
    assert any(wait.what.startswith(f"{space}/web-") for progress in told for wait in progress.waiting)


async def test_a_daemonset_stops_a_drain_that_does_not_ignore_it(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    await orchestrator.daemon(node, space)
    await close(orchestrator, node)
    outcome = await orchestrator.perform(node, MoveWork(DrainOptions(ignore_daemonsets=False), LONG))
    assert outcome.state is StepState.FAILED
    assert "--ignore-daemonsets" in outcome.says
    assert await apps(orchestrator, node) == {"web", "agent"}


async def test_bare_pods_and_scratch_need_their_options_and_nothing_is_evicted_without(
    orchestrator: Orchestrator,
) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    await orchestrator.replicas(node, space, app="scratchy", scratch=True)
    await orchestrator.bare_pod(node, space)
    await close(orchestrator, node)
    outcome = await orchestrator.perform(node, MoveWork(DrainOptions(), LONG))
    assert outcome.state is StepState.FAILED
    assert "nothing was evicted" in outcome.says
    for word in (f"{space}/alone", "--force", f"{space}/scratchy-", "--delete-emptydir-data"):
        assert word in outcome.says
    assert await apps(orchestrator, node) == {"web", "scratchy", "alone"}
    allowed = DrainOptions(force=True, delete_emptydir=True)
    assert (await orchestrator.perform(node, MoveWork(allowed, LONG))).state is StepState.DONE
    assert await apps(orchestrator, node) == set()


async def test_a_drain_past_a_blocking_budget_says_who_waits_and_ends_when_it_opens(
    orchestrator: Orchestrator,
) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space, 2)
    budget = await orchestrator.budget(space, "web", least=2)
    await close(orchestrator, node)
    step = await orchestrator.planned(node, MoveWork(DrainOptions(), LONG))
    moving = asyncio.create_task(orchestrator.writer.perform(step, orchestrator.progress.append))

    async def both_wait() -> bool:
        waits = orchestrator.progress[-1].waiting if orchestrator.progress else ()
        return sum(budget in wait.on for wait in waits) == 2

    await orchestrator.settle(both_wait, "both pods are said to wait for the budget")
    assert await apps(orchestrator, node) == {"web"}
    assert all(wait.since is not None for wait in orchestrator.progress[-1].waiting)
    assert await orchestrator.effect(step) is Effect.NOT
    await orchestrator.loosen(space, budget)
    assert (await moving).state is StepState.DONE
    assert await orchestrator.effect(step) is Effect.TOOK


async def test_two_budgets_over_one_pod_are_said_to_need_a_person(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    for name in ("first", "second"):
        await orchestrator.budget(space, "web", least=0, name=name)
    await close(orchestrator, node)
    with pytest.raises(TimedOut, match="more than one budget"):
        await orchestrator.perform(node, MoveWork(DrainOptions(), SHORT))
    assert await apps(orchestrator, node) == {"web"}


async def test_a_deadline_names_what_is_left_and_leaves_the_node_closed(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    budget = await orchestrator.budget(space, "web", least=1)
    await close(orchestrator, node)
    with pytest.raises(TimedOut) as caught:
        await orchestrator.perform(node, MoveWork(DrainOptions(), SHORT))
    assert f"{space}/web-" in str(caught.value)
    assert budget in str(caught.value)
    facts = await orchestrator.facts(node)
    assert facts.unschedulable
    assert [hold.by for hold in facts.node.holds] == ["oncall"]
    assert await apps(orchestrator, node) == {"web"}


async def test_an_empty_node_has_nothing_to_move(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await close(orchestrator, node)
    assert (await orchestrator.perform(node, MoveWork(DrainOptions(), SHORT))).state is StepState.SKIPPED


async def test_work_is_not_moved_off_a_node_that_somebody_opened(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    await close(orchestrator, node)
    await orchestrator.patch_node(node, {"spec": {"unschedulable": None}})

    async def seen_open() -> bool:
        facts = await orchestrator.facts(node)
        return not any(taint.key == "node.kubernetes.io/unschedulable" for taint in facts.node.taints)

    await orchestrator.settle(seen_open, "the cordon's own taint is gone")
    with pytest.raises(Conflict, match="opened"):
        await orchestrator.perform(node, MoveWork(DrainOptions(), LONG))
    assert await apps(orchestrator, node) == {"web"}


async def test_an_uncordon_in_the_middle_stops_the_drain(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    await orchestrator.budget(space, "web", least=1)
    await close(orchestrator, node)
    step = await orchestrator.planned(node, MoveWork(DrainOptions(), LONG))
    moving = asyncio.create_task(orchestrator.writer.perform(step, orchestrator.progress.append))

    async def waits() -> bool:
        return bool(orchestrator.progress and orchestrator.progress[-1].waiting)

    await orchestrator.settle(waits, "the drain waits")
    await orchestrator.patch_node(node, {"spec": {"unschedulable": None}})
    with pytest.raises(Conflict, match="opened"):
        await moving


async def test_what_is_ours_comes_off_a_node_that_was_uncordoned_and_it_stays_open(
    orchestrator: Orchestrator,
) -> None:
    node = await orchestrator.node()
    before = (await orchestrator.raw_node(node))["metadata"].get("annotations", {})
    await close(orchestrator, node)
    off = Release((orchestrator.operation,), as_it_stands=True)
    with pytest.raises(Conflict, match="closed it again"):
        await orchestrator.perform(node, off)
    await orchestrator.patch_node(node, {"spec": {"unschedulable": None}})
    assert (await orchestrator.perform(node, off)).state is StepState.DONE
    raw = await orchestrator.raw_node(node)
    left = {key for key in raw["metadata"].get("annotations", {}) if key not in before}
    assert left.isdisjoint({KEYS.held_by, *KEEP_AWAY})
    assert not raw["spec"].get("unschedulable")
    assert (await orchestrator.perform(node, off)).state is StepState.SKIPPED


async def test_a_drain_that_somebody_uncordons_ends_with_nothing_of_ours_on_an_open_node(
    orchestrator: Orchestrator,
) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    await orchestrator.budget(space, "web", least=1)
    before = await orchestrator.raw_node(node)
    dispatcher = Dispatcher(
        readers={node.source: orchestrator.reader},
        writers={node.source: orchestrator.writer},
        checker=Nothing(),
        journal=MemoryJournal(),
        clock=orchestrator.clock,
        policy=Policy(),
        owner="oncall@desk",
    )
    request = Request(Verb.DRAIN, (node,), "oncall@desk", "a test", orchestrator.operation)
    run = dispatcher.start(await dispatcher.plan(request))

    async def waits() -> bool:
        return bool(run.progress and run.progress[node].waiting)

    await orchestrator.settle(waits, "the drain waits")
    await orchestrator.patch_node(node, {"spec": {"unschedulable": None}})
    ended = await dispatcher.finished(run.operation.id)
    assert ended.state is OperationState.FAILED
    assert any("somebody opened it" in outcome.says for outcome in ended.outcomes)
    after = await orchestrator.raw_node(node)
    assert not after["spec"].get("unschedulable")
    assert set(after["metadata"].get("annotations", {})) == set(before["metadata"].get("annotations", {}))
    assert after["metadata"]["labels"][KEYS.lifecycle] == Stage.IN_SERVICE.value
    assert await apps(orchestrator, node) == {"web"}


async def test_a_cancelled_drain_stops_and_leaves_the_rest_where_it_is(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    await orchestrator.budget(space, "web", least=1)
    await close(orchestrator, node)
    step = await orchestrator.planned(node, MoveWork(DrainOptions(), LONG))
    moving = asyncio.create_task(orchestrator.writer.perform(step, orchestrator.progress.append))

    async def waits() -> bool:
        return bool(orchestrator.progress and orchestrator.progress[-1].waiting)

    await orchestrator.settle(waits, "the drain waits")
    moving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving
    assert await apps(orchestrator, node) == {"web"}
    assert (await orchestrator.facts(node)).unschedulable


async def test_finished_pods_go_without_any_option(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    name = await orchestrator.bare_pod(node, space)
    await orchestrator.finish(space, name)
    await close(orchestrator, node)
    assert (await orchestrator.perform(node, MoveWork(DrainOptions(), LONG))).state is StepState.DONE
    assert not await orchestrator.exists(f"/api/v1/namespaces/{space}/pods/{name}")


async def test_a_refused_eviction_is_denied_at_once(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space, 2)
    await close(orchestrator, node)
    await deny(orchestrator, ("create", "pods/eviction"))
    with pytest.raises(Denied):
        await orchestrator.perform(node, MoveWork(DrainOptions(), LONG))
    assert await apps(orchestrator, node) == {"web"}


async def test_a_drain_outlives_an_api_server_that_goes_and_comes_back(orchestrator: Orchestrator) -> None:
    if orchestrator.simulation is None:
        pytest.skip("a lent cluster's API server is not ours to stop")
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space, 2)
    budget = await orchestrator.budget(space, "web", least=2)
    await close(orchestrator, node)
    step = await orchestrator.planned(node, MoveWork(DrainOptions(), timedelta(hours=1)))
    moving = asyncio.create_task(orchestrator.writer.perform(step, orchestrator.progress.append))

    async def held() -> bool:
        return bool(orchestrator.progress and orchestrator.progress[-1].waiting)

    await orchestrator.settle(held, "the drain waits")
    await orchestrator.simulation.api.go_down()

    async def troubled() -> bool:
        return "trying again" in orchestrator.progress[-1].says

    await orchestrator.settle(troubled, "the drain says that it can't see")
    await orchestrator.simulation.api.come_back()
    await orchestrator.loosen(space, budget)
    assert (await moving).state is StepState.DONE


async def test_an_unreachable_node_is_said_to_never_finish(orchestrator: Orchestrator) -> None:
    if orchestrator.simulation is None:
        pytest.skip("a lent cluster's nodes are not cut off")
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    await close(orchestrator, node)
    await orchestrator.cut_off(node)
    with pytest.raises(TimedOut, match="unreachable: its eviction can't finish"):
        await orchestrator.perform(node, MoveWork(DrainOptions(), SHORT))


async def test_many_pods_under_one_budget_go_as_fast_as_it_lets_them(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space, 30)
    await orchestrator.budget(space, "web", least=20)
    await close(orchestrator, node)
    step = await orchestrator.planned(node, MoveWork(DrainOptions(), LONG))
    moving = asyncio.create_task(orchestrator.writer.perform(step, orchestrator.progress.append))

    async def as_many_as_it_lets() -> bool:
        return (
            len([pod for pod in await orchestrator.pods(node) if pod["metadata"]["namespace"] == space]) == 20
        )

    await orchestrator.settle(as_many_as_it_lets, "the budget's surplus has gone")
    assert not moving.done()
    await orchestrator.loosen(space, "web-pdb")
    assert (await moving).state is StepState.DONE
    assert "30 moved" in (await moving).says
