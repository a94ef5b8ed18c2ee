"""One operation at a time on a node, where its source has a lock: taken before anything is done, given back however it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fleet.errors import Blocked, Conflict, Unreachable
from fleet.lock import Lock
from fleet.node import NodeKey
from fleet.operation import OperationState
from fleet.plan import NodeFacts, Verb
from tests.desk import Desk
from tests.fakes import SOURCE, key, node, pod, request


class Turns:
    """`fleet.lock.Locks` in memory: who has which node, and what was taken and given back."""

    def __init__(self) -> None:
        self.has: dict[NodeKey, str] = {}
        self.told: list[str] = []
        self.none = ""
        self.lost = ""

    async def take(self, node: NodeKey, operation: str, by: str) -> str:
        self.told.append(f"take {node.name}")
        if self.has.setdefault(node, operation) != operation:
            raise Conflict(f"operation {self.has[node]} is at it", about=node.name)
        return self.none

    def expect(self, node: NodeKey, operation: str) -> None:
        if self.lost:
            raise Conflict(self.lost, about=node.name)

    async def give_back(self, node: NodeKey, operation: str) -> None:
        if self.has.get(node) == operation:
            self.told.append(f"give back {node.name}")
            del self.has[node]


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def desk(turns: Turns) -> Desk:
    desk = Desk()
    desk.dispatcher._locks = {SOURCE: turns}
    desk.lab.add(node(), pod())
    return desk


@pytest.mark.parametrize("verb", [Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE, Verb.GATE])
async def test_a_verb_that_works_on_a_node_takes_its_lock_and_gives_it_back(
    desk: Desk, turns: Turns, verb: Verb
) -> None:
    await desk.start(verb)
    await desk.ended()
    assert turns.told == ["take gpu-1", "give back gpu-1"]


async def test_a_cordon_and_a_check_that_writes_nothing_take_no_lock(desk: Desk, turns: Turns) -> None:
    turns.has[key("gpu-1")] = "op-other"
    assert (await desk.run(Verb.CORDON)).state is OperationState.DONE
    assert (await desk.run(Verb.GATE, check_only=True, operation="op-2")).state is OperationState.DONE
    assert turns.told == []


async def test_a_node_that_another_operation_is_at_is_not_touched(desk: Desk, turns: Turns) -> None:
    plan = await desk.dispatcher.plan(request(Verb.DRAIN))
    turns.has[key("gpu-1")] = "op-other"
    ended = await desk.dispatcher.run(plan)
    assert ended.state is OperationState.FAILED
    assert ended.outcomes[0].says == "not gone on with: gpu-1: operation op-other is at it"
    assert desk.lab.performed == []
    assert turns.has == {key("gpu-1"): "op-other"}


async def test_a_plan_is_blocked_by_anothers_lock_and_not_by_its_own(desk: Desk) -> None:
    facts = desk.lab.facts[key("gpu-1")]
    locked = NodeFacts(facts.node, facts.version, placements=facts.placements, lock=Lock("night", "op-9"))
    desk.lab.facts[key("gpu-1")] = locked
    plan = await desk.dispatcher.plan(request(Verb.DRAIN))
    assert [blocker.says for blocker in plan.all_blockers] == ["operation op-9 of night is at it"]
    with pytest.raises(Blocked, match="op-9 of night"):
        desk.dispatcher.start(plan)
    assert (await desk.dispatcher.plan(request(Verb.DRAIN, operation="op-9"))).free_to_run
    assert (await desk.dispatcher.plan(request(Verb.CORDON))).free_to_run


async def test_a_source_that_may_refuse_its_lock_is_warned_of(desk: Desk) -> None:
    facts = desk.lab.facts[key("gpu-1")]
    desk.lab.facts[key("gpu-1")] = NodeFacts(facts.node, facts.version, no_lock="no lock here")
    plan = await desk.dispatcher.plan(request(Verb.DRAIN))
    assert "no lock here" in plan.nodes[0].warnings


async def test_no_lock_to_be_had_is_said_and_the_verb_goes_on(desk: Desk, turns: Turns) -> None:
    turns.none = "no lock: a second operator is detected, not excluded"
    told: list[str] = []
    desk.dispatcher._changed = lambda run: told.extend(each.says for each in run.progress.values())
    await desk.start(Verb.DRAIN)
    assert (await desk.ended()).state is OperationState.DONE
    assert turns.none in told


async def test_a_lock_that_was_lost_on_the_way_stops_the_node_and_names_who_has_it(
    desk: Desk, turns: Turns
) -> None:
    run = await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    turns.lost = "our lock lapsed, and operation op-9 of night is at it"
    desk.lab.holds["MoveWork"].set()
    ended = await desk.ended()
    assert ended.state is OperationState.FAILED
    assert "op-9 of night" in run.operation.outcomes[-1].says
    assert desk.lab.names()[-1] != "Mark"


@pytest.mark.parametrize("how", ["cancel", "leave"])
async def test_an_operation_that_is_stopped_gives_the_lock_back(desk: Desk, turns: Turns, how: str) -> None:
    run = await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    assert turns.has
    if how == "cancel":
        desk.dispatcher.cancel(run.operation.id)
    else:
        await desk.dispatcher.leave()
    await desk.ended()
    assert turns.has == {}


async def test_a_resumed_operation_has_its_lock_again(desk: Desk, turns: Turns) -> None:
    await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    await desk.dispatcher.leave()
    desk.lab.holds.clear()
    turns.told.clear()
    later = desk.another()
    later._locks = {SOURCE: turns}
    (found,) = await desk.journal.operations()
    await later.resume(found)
    assert (await desk.ended(found.id, later)).state is OperationState.DONE
    assert turns.told == ["take gpu-1", "give back gpu-1"]


async def test_a_lock_that_nobody_can_be_asked_for_stops_the_node_before_anything_is_done(
    desk: Desk, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(node: NodeKey, operation: str, by: str) -> str:
        raise Unreachable("no answer", about=node.name)

    monkeypatch.setattr(turns, "take", away)
    await desk.start(Verb.DRAIN)
    await desk.clock.advance(timedelta(seconds=1))
    assert (await desk.ended()).state is OperationState.FAILED
    assert desk.lab.performed == []
