"""Whether a change whose answer was lost took effect, told from the node alone."""

from __future__ import annotations

from dataclasses import replace

from fleet.holder import Hold, HolderKind
from fleet.operation import Effect
from fleet.plan import Close, Release
from tests.unit.kubernetes_actions.fakes import Lab

UNSIGNED = Hold("unknown", kind=HolderKind.UNNAMED)


async def test_taking_over_an_unsigned_cordon_took_effect_only_once_the_node_is_open() -> None:
    lab = Lab()
    assert lab.api.node is not None
    lab.api.node["spec"]["unschedulable"] = True
    step = lab.step(Release(take_over=("unknown",)))
    step = replace(step, before=replace(step.before, holds=(UNSIGNED,), unschedulable=True))
    assert await lab.writer.effect_of(step) is Effect.NOT
    await lab.writer.perform(step, lambda progress: None)
    assert await lab.writer.effect_of(step) is Effect.TOOK


async def test_a_hold_that_came_off_an_open_node_is_off_though_somebody_closed_it_since() -> None:
    lab = Lab()
    hold = Hold("oncall@desk", "maintenance", verb="drain", operation="op-3")
    await lab.writer.perform(lab.step(Close(hold)), lambda progress: None)
    assert lab.api.node is not None
    off = lab.step(Release(("op-3",), as_it_stands=True))
    assert await lab.writer.effect_of(off) is Effect.UNKNOWN, "it is closed, and ours is on it"
    del lab.api.node["spec"]["unschedulable"]
    assert await lab.writer.effect_of(off) is Effect.NOT
    await lab.writer.perform(off, lambda progress: None)
    lab.api.node["spec"]["unschedulable"] = True
    before = dict(lab.api.node["metadata"]["labels"])
    assert await lab.writer.effect_of(off) is Effect.TOOK
    await lab.writer.perform(off, lambda progress: None)
    assert lab.api.node["spec"]["unschedulable"]
    assert lab.api.node["metadata"]["labels"] == before
