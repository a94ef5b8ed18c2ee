"""Making, reimaging and removing nodes: by uid, gated, and never under somebody's work."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backends.kubernetes.our_keys import KWOK
from fleet.errors import Blocked, Conflict, Missing, Rejected, TimedOut
from fleet.node import Admission, NodeKey, Stage
from fleet.operation import Effect, StepState
from fleet.plan import AwaitBoot, Close, Create, PutImage, Remove, Step
from tests.contract.orchestrator import KEYS, Json, Orchestrator

BOOT = timedelta(minutes=10)
TEAM_TAINT = {"key": "example.com/team", "value": "a", "effect": "NoSchedule"}


def put(orchestrator: Orchestrator, image: str = "v2", imager: str = "recreate") -> PutImage:
    return PutImage(image, imager, orchestrator.hold("reimage"))


async def close(orchestrator: Orchestrator, node: NodeKey) -> None:
    await orchestrator.perform(node, Close(orchestrator.hold("reimage"), Stage.REIMAGING, gate=True))


async def await_boot(orchestrator: Orchestrator, node: NodeKey, image: str = "v2") -> Step:
    """The step as it is planned: with the boot recorded before anything happens."""
    planned = await orchestrator.planned(node, Close(orchestrator.hold("reimage")))
    return replace(planned, id=f"{planned.id}-boot", action=AwaitBoot(image, BOOT))


async def test_a_reimage_changes_the_boot_keeps_the_labels_and_comes_back_gated(
    orchestrator: Orchestrator,
) -> None:
    node = await orchestrator.node(taints=(TEAM_TAINT,), example__rack="r7")
    boot, before = await await_boot(orchestrator, node), (await orchestrator.facts(node)).node
    await close(orchestrator, node)
    assert (await orchestrator.perform(node, put(orchestrator))).state is StepState.DONE
    booted = await orchestrator.writer.perform(boot, orchestrator.progress.append)
    assert booted.state is StepState.DONE
    facts = await orchestrator.facts(node)
    after = facts.node
    assert after.uid != before.uid
    assert not before.boot_id or after.boot_id != before.boot_id
    assert after.image.running == "v2"
    assert after.category == before.category
    assert (after.admission, after.stage) == (Admission.GATED, Stage.GATED)
    assert facts.unschedulable
    assert [hold.by for hold in after.holds] == ["oncall"]
    raw = await orchestrator.raw_node(node)
    assert raw["metadata"]["labels"]["example/rack"] == "r7"
    assert "example.com/team" in {taint["key"] for taint in raw["spec"]["taints"]}
    assert raw["metadata"]["annotations"][KWOK] == "fake"


async def test_an_image_reference_is_kept_whole_beside_its_label(orchestrator: Orchestrator) -> None:
    reference = "registry.example.com/images/h100@sha256:" + "ab" * 32
    node = await orchestrator.node()
    boot = await await_boot(orchestrator, node, reference)
    await close(orchestrator, node)
    await orchestrator.perform(node, put(orchestrator, reference))
    await orchestrator.writer.perform(boot, orchestrator.progress.append)
    raw = await orchestrator.raw_node(node)
    assert raw["metadata"]["annotations"][KEYS.image] == reference
    assert len(raw["metadata"]["labels"][KEYS.image_version]) <= 63


async def test_a_node_with_a_bound_pod_is_not_recreated(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    await close(orchestrator, node)
    uid = (await orchestrator.facts(node)).node.uid
    with pytest.raises(Blocked, match=f"{space}/web-"):
        await orchestrator.perform(node, put(orchestrator))
    assert (await orchestrator.facts(node)).node.uid == uid


async def test_daemonset_pods_do_not_keep_a_node_from_being_recreated(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.daemon(node, space)
    await close(orchestrator, node)
    assert (await orchestrator.perform(node, put(orchestrator))).state is StepState.DONE


async def test_a_node_with_a_machine_behind_it_is_not_recreated(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await close(orchestrator, node)
    await orchestrator.patch_node(node, {"metadata": {"annotations": {KWOK: None}}})
    uid = (await orchestrator.facts(node)).node.uid
    with pytest.raises(Blocked, match="machine behind it"):
        await orchestrator.perform(node, put(orchestrator))
    assert (await orchestrator.facts(node)).node.uid == uid


async def test_a_node_that_somebody_opened_is_not_recreated(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    with pytest.raises(Conflict, match="opened"):
        await orchestrator.perform(node, put(orchestrator))


async def test_an_imager_that_is_not_here_is_refused(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await close(orchestrator, node)
    with pytest.raises(Rejected, match="redfish"):
        await orchestrator.perform(node, put(orchestrator, imager="redfish"))


async def test_a_crash_between_the_delete_and_the_create_is_mended_from_what_was_written_down(
    orchestrator: Orchestrator,
) -> None:
    node = await orchestrator.node(example__rack="r7")
    await close(orchestrator, node)
    step = await orchestrator.planned(node, put(orchestrator))
    assert await orchestrator.effect(step) is Effect.NOT
    await orchestrator.api.send("DELETE", f"/api/v1/nodes/{node.name}")
    await orchestrator.settle(lambda: gone(orchestrator, node), "the node is gone")
    assert await orchestrator.effect(step) is Effect.NOT
    assert await orchestrator.writer.prepare(step) == step
    assert (await orchestrator.writer.perform(step, orchestrator.progress.append)).state is StepState.DONE
    assert await orchestrator.effect(step) is Effect.TOOK
    again = await orchestrator.writer.perform(step, orchestrator.progress.append)
    assert again.state is StepState.SKIPPED
    raw = await orchestrator.raw_node(node)
    assert raw["metadata"]["labels"]["example/rack"] == "r7"
    assert raw["metadata"]["labels"][KEYS.image_version] == "v2"


async def test_a_hold_written_after_the_step_was_prepared_survives_the_recreate(
    orchestrator: Orchestrator,
) -> None:
    node = await orchestrator.node()
    await close(orchestrator, node)
    step = await orchestrator.planned(node, put(orchestrator))
    await orchestrator.perform(node, Close(orchestrator.hold(by="colleague", operation="op-late")))
    await orchestrator.writer.perform(step, orchestrator.progress.append)
    entries = json.loads((await orchestrator.raw_node(node))["metadata"]["annotations"][KEYS.held_by])
    assert [entry["by"] for entry in entries] == ["oncall", "colleague"]


async def test_a_boot_that_does_not_come_ends_at_its_deadline_saying_what_is_lacking(
    orchestrator: Orchestrator,
) -> None:
    node = await orchestrator.node()
    boot = await await_boot(orchestrator, node)
    boot = replace(boot, action=AwaitBoot("v2", timedelta(seconds=5)))
    assert await orchestrator.effect(boot) is Effect.NOT
    with pytest.raises(
        TimedOut, match="to boot: it shows the boot recorded before; to report the image v2: it shows v1"
    ):
        await orchestrator.writer.perform(boot, orchestrator.progress.append)


async def test_a_new_node_comes_gated_like_its_category(orchestrator: Orchestrator) -> None:
    sibling = await orchestrator.node()
    key = NodeKey(orchestrator.source, orchestrator.unique("new"))
    orchestrator.adopt(key)
    step = await orchestrator.writer.prepare(
        orchestrator.step(key, Create(orchestrator.run, "v2", orchestrator.hold("provision")))
    )
    assert await orchestrator.effect(step) is Effect.NOT
    assert (await orchestrator.writer.perform(step, orchestrator.progress.append)).state is StepState.DONE
    assert await orchestrator.effect(step) is Effect.TOOK
    facts = await orchestrator.facts(key)
    assert (facts.node.admission, facts.node.stage) == (Admission.GATED, Stage.PROVISIONING)
    assert facts.node.category == orchestrator.run
    boot = await orchestrator.writer.prepare(orchestrator.step(key, AwaitBoot("v2", BOOT)))
    await orchestrator.writer.perform(boot, orchestrator.progress.append)
    facts, like = await orchestrator.facts(key), await orchestrator.facts(sibling)
    assert facts.node.stage is Stage.GATED
    assert facts.node.gpus_capacity == like.node.gpus_capacity
    taken = orchestrator.step(sibling, Create(orchestrator.run, "v2", orchestrator.hold("provision")))
    with pytest.raises(Conflict, match="there already"):
        await orchestrator.writer.perform(taken, orchestrator.progress.append)


async def test_a_new_node_has_no_hardware_of_a_drills_node(
    orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    drills = await orchestrator.node()
    await orchestrator.patch_node(drills, {"metadata": {"annotations": {KEYS.drill: "another-drill"}}})
    key = NodeKey(orchestrator.source, orchestrator.unique("new"))
    orchestrator.adopt(key)
    made: list[Json] = []
    send = orchestrator.api.send

    async def noting(method: str, path: str, body: bytes = b"", **rest: Any) -> bytes:
        made.append(json.loads(body))
        return await send(method, path, body, **rest)

    monkeypatch.setattr(orchestrator.api, "send", noting)
    step = orchestrator.step(key, Create(orchestrator.run, "v1", orchestrator.hold("provision")))
    assert (await orchestrator.writer.perform(step, orchestrator.progress.append)).state is StepState.DONE
    assert made[0]["metadata"]["name"] == key.name
    assert not made[0].get("status")


async def test_a_retired_node_is_removed_by_uid(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await orchestrator.perform(node, Close(orchestrator.hold("retire"), Stage.RETIRING))
    step = await orchestrator.planned(node, Remove())
    assert await orchestrator.effect(step) is Effect.NOT
    assert (await orchestrator.writer.perform(step, orchestrator.progress.append)).state is StepState.DONE
    assert await gone(orchestrator, node)
    assert await orchestrator.effect(step) is Effect.TOOK
    assert (await orchestrator.writer.perform(step, orchestrator.progress.append)).state is StepState.SKIPPED


async def test_another_node_of_that_name_is_not_removed(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await orchestrator.perform(node, Close(orchestrator.hold("retire")))
    step = await orchestrator.planned(node, Remove())
    other = replace(step, before=replace(step.before, uid="00000000-0000-0000-0000-000000000000"))
    with pytest.raises(Conflict, match="another machine"):
        await orchestrator.writer.perform(other, orchestrator.progress.append)
    assert not await gone(orchestrator, node)
    assert await orchestrator.effect(other) is Effect.TOOK


async def test_a_node_with_work_is_not_removed(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.replicas(node, space)
    await orchestrator.perform(node, Close(orchestrator.hold("retire")))
    with pytest.raises(Blocked, match=f"{space}/web-"):
        await orchestrator.perform(node, Remove())
    assert not await gone(orchestrator, node)


async def test_a_node_that_something_owns_is_not_removed(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await orchestrator.perform(node, Close(orchestrator.hold("retire")))
    await orchestrator.patch_node(node, {"metadata": {"annotations": {"cluster.x-k8s.io/machine": "m-7"}}})
    with pytest.raises(Blocked, match="Machine m-7 owns it"):
        await orchestrator.perform(node, Remove())
    assert not await gone(orchestrator, node)


async def gone(orchestrator: Orchestrator, node: NodeKey) -> bool:
    try:
        await orchestrator.raw_node(node)
    except Missing:
        return True
    return False
