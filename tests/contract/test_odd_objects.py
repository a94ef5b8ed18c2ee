"""Nodes and pods as no chart makes them: long names, nothing but a name, finalizers, a second operator, mirror pods."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from backends.kubernetes.connection import MERGE_PATCH
from backends.kubernetes.our_keys import KWOK
from fleet.errors import Conflict, FleetError, Missing, Rejected
from fleet.health import Finding, GateRecord, Verdict
from fleet.node import Admission, NodeKey, Stage
from fleet.operation import Effect, StepState
from fleet.plan import (
    ApplyVerdict,
    AwaitBoot,
    Close,
    Create,
    DrainOptions,
    MoveWork,
    PutImage,
    Release,
    Remove,
)
from tests.contract.orchestrator import KEYS, KWOK_TAINT, Orchestrator, pod_spec

LONG = timedelta(minutes=5)
FINALIZER = "example.com/keeps-it"


async def bare(orchestrator: Orchestrator, name: str, **metadata: object) -> NodeKey:
    """A Node with a name and KWOK's annotation, and nothing else."""
    meta = {"name": name, "annotations": {KWOK: "fake"}, **metadata}
    await orchestrator.make("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": meta})
    return NodeKey(orchestrator.source, name)


async def close(orchestrator: Orchestrator, node: NodeKey) -> None:
    await orchestrator.perform(node, Close(orchestrator.hold("drain"), Stage.DRAINING))


def passed(orchestrator: Orchestrator) -> ApplyVerdict:
    finding = Finding("ready", Verdict.PASS, "x")
    record = GateRecord(Verdict.PASS, (finding,), orchestrator.clock.now(), "oncall", "PASS")
    return ApplyVerdict(record, orchestrator.operation, admit=True)


async def set_finalizers(orchestrator: Orchestrator, path: str, *finalizers: str) -> None:
    patch = {"metadata": {"finalizers": list(finalizers) or None}}
    await orchestrator.api.send("PATCH", path, json.dumps(patch).encode(), content_type=MERGE_PATCH)


async def says(orchestrator: Orchestrator, words: str) -> None:
    """Wait until the step's last word of progress holds `words`."""

    async def said() -> bool:
        last = orchestrator.progress[-1:]
        return any(words in f"{told.says} {' '.join(wait.on for wait in told.waiting)}" for told in last)

    await orchestrator.settle(said, f"it says {words!r}")


async def pod(orchestrator: Orchestrator, node: NodeKey, space: str, name: str, **metadata: object) -> str:
    """A pod bound to the node past the scheduler. Returns its path."""
    found = await orchestrator.bare_pod(node, space, f"{name}-first")
    meta = {"name": name, "namespace": space, "labels": {"app": name}} | metadata
    spec = pod_spec(node) | {"nodeName": node.name}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    await orchestrator.make(f"/api/v1/namespaces/{space}/pods", manifest)
    await orchestrator.api.send(
        "DELETE", f"/api/v1/namespaces/{space}/pods/{found}", b'{"gracePeriodSeconds": 0}'
    )
    await orchestrator.until_running(node, name, 1)
    return f"/api/v1/namespaces/{space}/pods/{name}"


async def test_a_long_name_with_dots_is_closed_made_again_and_opened(orchestrator: Orchestrator) -> None:
    name = f"{orchestrator.unique('node')}.{'a' * 63}.{'b' * 63}.rack-7.example.com"
    node = await bare(orchestrator, name, labels={KEYS.category: orchestrator.run})
    await orchestrator.until_ready(node)
    await orchestrator.perform(node, Close(orchestrator.hold("reimage"), Stage.REIMAGING, gate=True))
    put = PutImage("v2", "recreate", orchestrator.hold("reimage"))
    assert (await orchestrator.perform(node, put)).state is StepState.DONE
    boot = await orchestrator.planned(node, AwaitBoot("v2", LONG))
    await orchestrator.writer.perform(
        replace(boot, before=replace(boot.before, uid="")), orchestrator.progress.append
    )
    assert (await orchestrator.perform(node, passed(orchestrator))).state is StepState.DONE
    await orchestrator.until_open(node)
    assert (await orchestrator.facts(node)).node.image.running == "v2"


async def test_a_node_with_nothing_but_a_name_keeps_nothing_of_ours_but_its_stage(
    orchestrator: Orchestrator,
) -> None:
    node = await bare(orchestrator, orchestrator.unique("node"))
    await orchestrator.until_ready(node)
    await orchestrator.perform(node, Close(orchestrator.hold("drain"), gate=True))
    assert (await orchestrator.facts(node)).node.admission is Admission.GATED
    await orchestrator.perform(node, Release((orchestrator.operation,), open_gate=True))
    await orchestrator.until_open(node)
    raw = await orchestrator.raw_node(node)
    keys = [*(raw["metadata"].get("labels") or {}), *raw["metadata"]["annotations"]]
    assert [key for key in keys if key.startswith(KEYS.prefix)] == [KEYS.lifecycle]
    assert not raw["spec"].get("taints")


async def test_a_node_that_a_finalizer_keeps_is_gone_only_when_it_is_gone(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await set_finalizers(orchestrator, f"/api/v1/nodes/{node.name}", FINALIZER)
    await orchestrator.perform(node, Close(orchestrator.hold("retire"), Stage.RETIRING))
    step = await orchestrator.planned(node, Remove())
    removing = asyncio.create_task(orchestrator.writer.perform(step, orchestrator.progress.append))
    await says(orchestrator, "a finalizer holds it")
    assert await orchestrator.effect(step) is not Effect.TOOK
    with pytest.raises(Conflict, match="being deleted"):
        await orchestrator.perform(node, Close(orchestrator.hold(operation="op-late")))
    await set_finalizers(orchestrator, f"/api/v1/nodes/{node.name}")
    assert (await removing).state is StepState.DONE
    assert await orchestrator.effect(step) is Effect.TOOK


async def test_a_node_that_a_finalizer_keeps_is_made_again_once_it_is_gone(
    orchestrator: Orchestrator,
) -> None:
    node = await orchestrator.node()
    uid = (await orchestrator.facts(node)).node.uid
    await set_finalizers(orchestrator, f"/api/v1/nodes/{node.name}", FINALIZER)
    await orchestrator.perform(node, Close(orchestrator.hold("reimage"), Stage.REIMAGING, gate=True))
    step = await orchestrator.planned(node, PutImage("v2", "recreate", orchestrator.hold("reimage")))
    putting = asyncio.create_task(orchestrator.writer.perform(step, orchestrator.progress.append))
    await says(orchestrator, "a finalizer holds it")
    await set_finalizers(orchestrator, f"/api/v1/nodes/{node.name}")
    assert (await putting).state is StepState.DONE
    facts = await orchestrator.facts(node)
    assert facts.node.uid != uid
    assert facts.node.admission is Admission.GATED


async def test_a_node_whose_annotations_are_full_is_refused_and_left_open(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await orchestrator.patch_node(node, {"metadata": {"annotations": {"example.com/big": "x" * 261_900}}})
    with pytest.raises(Rejected, match="annotations"):
        await orchestrator.perform(node, Close(orchestrator.hold("drain", reason="y" * 900)))
    facts = await orchestrator.facts(node)
    assert (facts.node.admission, facts.node.holds) == (Admission.OPEN, ())


async def test_two_operators_drain_one_node_and_both_come_to_the_end(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space, 3)
    await close(orchestrator, node)
    await orchestrator.perform(node, Close(orchestrator.hold("drain", by="colleague", operation="op-other")))
    steps = [await orchestrator.planned(node, MoveWork(DrainOptions(), LONG)) for _ in range(2)]
    outcomes = await asyncio.gather(*(orchestrator.writer.perform(step, lambda told: None) for step in steps))
    assert [outcome.state for outcome in outcomes] == [StepState.DONE, StepState.DONE]
    assert sorted(hold.by for hold in (await orchestrator.facts(node)).node.holds) == ["colleague", "oncall"]


@pytest.mark.parametrize("again", [False, True], ids=["gone", "made-again"])
async def test_a_node_that_is_deleted_in_the_middle_ends_the_drain(
    orchestrator: Orchestrator, again: bool
) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    await orchestrator.budget(space, "web", least=1)
    await close(orchestrator, node)
    step = await orchestrator.planned(node, MoveWork(DrainOptions(), LONG))
    moving = asyncio.create_task(orchestrator.writer.perform(step, orchestrator.progress.append))
    await says(orchestrator, "web-pdb")
    await orchestrator.api.send("DELETE", f"/api/v1/nodes/{node.name}")
    if again:
        await bare(orchestrator, node.name)
    with pytest.raises(Conflict if again else (Missing, Conflict)):
        await moving


async def test_mirror_pods_are_left_where_they_are(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    mirror = {"kubernetes.io/config.mirror": "abc", "sim.node.lab/stops-in": "1"}
    path = await pod(orchestrator, node, space, "static", annotations=mirror)
    await close(orchestrator, node)
    outcome = await orchestrator.perform(node, MoveWork(DrainOptions(), LONG))
    assert outcome.state is StepState.SKIPPED
    assert "deletionTimestamp" not in (await orchestrator.get(path))["metadata"]


async def test_a_pod_that_a_finalizer_keeps_has_moved_only_when_it_is_gone(
    orchestrator: Orchestrator,
) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    stops = {"sim.node.lab/stops-in": "1"}
    path = await pod(orchestrator, node, space, "kept", annotations=stops, finalizers=[FINALIZER])
    await close(orchestrator, node)
    step = await orchestrator.planned(node, MoveWork(DrainOptions(force=True), LONG))
    moving = asyncio.create_task(orchestrator.writer.perform(step, orchestrator.progress.append))

    async def going() -> bool:
        return (
            not await orchestrator.exists(path)
            or "deletionTimestamp" in (await orchestrator.get(path))["metadata"]
        )

    await orchestrator.settle(going, "the pod is on its way out")
    if await orchestrator.exists(path):  # KWOK takes finalizers off by itself
        assert await orchestrator.effect(step) is Effect.NOT
        assert not moving.done()
        await set_finalizers(orchestrator, path)
    assert (await moving).state is StepState.DONE
    assert not await orchestrator.exists(path)


async def test_a_pod_that_comes_back_under_its_own_name_is_another_one(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    template = {"metadata": {"labels": {"app": "db"}}, "spec": pod_spec(node)}
    spec = {
        "replicas": 1,
        "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}},
        "template": template,
    }
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": space},
        "spec": spec,
    }
    await orchestrator.make(f"/apis/apps/v1/namespaces/{space}/statefulsets", manifest)
    await orchestrator.until_running(node, "db", 1)
    await close(orchestrator, node)
    assert (await orchestrator.perform(node, MoveWork(DrainOptions(), LONG))).state is StepState.DONE

    async def back() -> bool:
        path = f"/api/v1/namespaces/{space}/pods/db-0"
        return await orchestrator.exists(path) and not (await orchestrator.get(path))["spec"].get("nodeName")

    await orchestrator.settle(back, "its controller has made it again, and it waits")


async def test_a_pod_bound_past_the_cordon_stops_the_drain_that_may_not_lose_it(
    orchestrator: Orchestrator,
) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await close(orchestrator, node)
    spec = pod_spec(node) | {"nodeName": node.name}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "late", "namespace": space},
        "spec": spec,
    }

    async def made() -> bool:
        try:
            await orchestrator.make(f"/api/v1/namespaces/{space}/pods", manifest)
        except FleetError:  # until the namespace has its service account
            return False
        return True

    await orchestrator.settle(made, "the pod is made")
    outcome = await orchestrator.perform(node, MoveWork(DrainOptions(), LONG))
    assert outcome.state is StepState.FAILED
    assert f"{space}/late" in outcome.says


async def test_an_unready_pod_waits_for_a_budget_that_is_short_already(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    await orchestrator.budget(space, "web", least=2)
    await close(orchestrator, node)
    step = await orchestrator.planned(node, MoveWork(DrainOptions(), LONG))
    moving = asyncio.create_task(orchestrator.writer.perform(step, orchestrator.progress.append))
    await says(orchestrator, f"budget {space}/web-pdb needs 2 healthy pods and has 1")
    await orchestrator.loosen(space, "web-pdb")
    assert (await moving).state is StepState.DONE


async def test_pods_of_a_namespace_that_is_deleted_meanwhile_have_moved(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space, 2)
    await orchestrator.budget(space, "web", least=2)
    await close(orchestrator, node)
    step = await orchestrator.planned(node, MoveWork(DrainOptions(), LONG))
    moving = asyncio.create_task(orchestrator.writer.perform(step, orchestrator.progress.append))
    await says(orchestrator, "web-pdb")
    await orchestrator.api.send("DELETE", f"/api/v1/namespaces/{space}")
    assert (await moving).state is StepState.DONE


async def test_a_name_too_long_for_a_label_can_be_provisioned(orchestrator: Orchestrator) -> None:
    await orchestrator.node()
    key = NodeKey(orchestrator.source, f"{orchestrator.unique('new')}.{'a' * 60}.example.com")
    orchestrator.adopt(key)
    step = orchestrator.step(key, Create(orchestrator.run, "v1", orchestrator.hold("provision")))
    assert (await orchestrator.writer.perform(step, orchestrator.progress.append)).state is StepState.DONE
    assert (await orchestrator.facts(key)).node.category == orchestrator.run


async def test_a_second_operators_node_of_that_name_is_not_taken_for_ours(orchestrator: Orchestrator) -> None:
    name = orchestrator.unique("new")
    await bare(orchestrator, name, labels={KEYS.category: orchestrator.run})
    key = NodeKey(orchestrator.source, name)
    uid = (await orchestrator.facts(key)).node.uid
    step = orchestrator.step(key, Create(orchestrator.run, "v1", orchestrator.hold("provision")))
    with pytest.raises(Conflict, match="there already"):
        await orchestrator.writer.perform(step, orchestrator.progress.append)
    assert (await orchestrator.facts(key)).node.uid == uid


async def test_a_taint_of_the_same_key_with_another_effect_is_kept(orchestrator: Orchestrator) -> None:
    theirs = {"key": KEYS.gate_taint, "value": "theirs", "effect": "NoExecute"}
    node = await orchestrator.node(taints=(theirs,))
    await orchestrator.perform(node, Close(orchestrator.hold("reimage"), Stage.GATED, gate=True))
    taints = (await orchestrator.raw_node(node))["spec"]["taints"]
    assert {"key": KWOK_TAINT["key"], "value": "fake", "effect": "NoSchedule"} in taints
    assert {taint["effect"] for taint in taints if taint["key"] == KEYS.gate_taint} >= {"NoExecute"}
