"""What a plan reads of a cluster, fresh, over HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backends.kubernetes import reader as reading
from fleet.errors import Denied, Missing
from fleet.node import NodeKey, Readiness, Stage
from fleet.plan import Permission, Verb
from fleet.workload import Keeper
from tests.contract.limited import deny
from tests.contract.orchestrator import Orchestrator


async def test_the_cluster_is_told_by_the_uid_of_kube_system(orchestrator: Orchestrator) -> None:
    identity = await orchestrator.reader.identity()
    raw = await orchestrator.get("/api/v1/namespaces/kube-system")
    assert identity.identity == raw["metadata"]["uid"]
    assert identity.source == orchestrator.source


async def test_a_node_is_read_with_its_version_and_one_that_is_absent_is_left_out(
    orchestrator: Orchestrator,
) -> None:
    key = await orchestrator.node()
    absent = NodeKey(orchestrator.source, "not-there")
    facts = await orchestrator.reader.read([key, absent, key])
    assert set(facts) == {key}
    raw = await orchestrator.raw_node(key)
    assert facts[key].node.uid == raw["metadata"]["uid"]
    assert facts[key].node.readiness is Readiness.READY
    assert facts[key].node.stage is Stage.IN_SERVICE
    assert facts[key].node.replaceable
    with pytest.raises(Missing):
        await orchestrator.facts(absent)


@pytest.mark.parametrize("name", ["", ".", "..", "../pods", "a/b", "a,b", "A", "a b", "n" * 300])
async def test_what_can_be_no_nodes_name_is_no_node(orchestrator: Orchestrator, name: str) -> None:
    assert await orchestrator.reader.read([NodeKey(orchestrator.reader.source, name)]) == {}


async def test_a_node_of_another_source_is_not_ours_to_read(orchestrator: Orchestrator) -> None:
    assert await orchestrator.reader.read([NodeKey("elsewhere", "a")]) == {}


async def test_placements_say_who_keeps_them_and_which_budget_holds_them(orchestrator: Orchestrator) -> None:
    key = await orchestrator.node()
    space = await orchestrator.namespace()
    web = await orchestrator.replicas(key, space, 2, scratch=True)
    agent = await orchestrator.daemon(key, space)
    alone = await orchestrator.bare_pod(key, space)
    budget = await orchestrator.budget(space, web, least=2)
    placed = {each.workload.name: each for each in (await orchestrator.facts(key)).placements}
    assert placed[web].keeper is Keeper.CONTROLLER
    assert placed[web].loses_scratch
    assert placed[web].grace == timedelta(seconds=2)
    assert [(each.name, each.allowed, each.owner) for each in placed[web].budgets] == [(budget, 0, "")]
    assert placed[agent].keeper is Keeper.DAEMON
    assert placed[alone].keeper is Keeper.NOBODY
    assert placed[alone].budgets == ()


async def test_many_nodes_are_read_as_one_by_one(
    orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [await orchestrator.node() for _ in range(2)]
    space = await orchestrator.namespace()
    await orchestrator.replicas(keys[0], space, 2)
    singly = await orchestrator.reader.read(keys)
    monkeypatch.setattr(reading, "FEW", 1)
    absent = NodeKey(orchestrator.source, "not-there")
    together = await orchestrator.reader.read([*keys, absent])
    assert set(together) == set(keys)
    for key in keys:
        assert together[key].node.uid == singly[key].node.uid
        assert {pod.uid for pod in together[key].placements} == {pod.uid for pod in singly[key].placements}


async def test_permissions_are_asked_for_each_verb(orchestrator: Orchestrator) -> None:
    answers = await orchestrator.reader.allowed(tuple(Verb))
    assert set(answers) == set(Verb)
    assert set(answers.values()) == {Permission.ALLOWED}
    await deny(orchestrator, ("create", "pods/eviction"))
    answers = await orchestrator.reader.allowed((Verb.CORDON, Verb.DRAIN, Verb.REIMAGE, Verb.PROVISION))
    assert answers == {
        Verb.CORDON: Permission.ALLOWED,
        Verb.DRAIN: Permission.DENIED,
        Verb.REIMAGE: Permission.DENIED,
        Verb.PROVISION: Permission.ALLOWED,
    }


async def test_what_may_not_be_read_is_denied_and_budgets_are_only_not_named(
    orchestrator: Orchestrator,
) -> None:
    key = await orchestrator.node()
    await deny(orchestrator, ("list", "poddisruptionbudgets"), ("get", "namespaces"))
    assert (await orchestrator.facts(key)).node.key == key
    identity = await orchestrator.reader.identity()
    assert identity.identity == orchestrator.api.server
    await deny(orchestrator, ("list", "pods"))
    with pytest.raises(Denied, match="pods"):
        await orchestrator.facts(key)
