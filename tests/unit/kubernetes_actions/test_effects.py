"""Whether a change whose answer was lost took effect, told from the node alone."""

from __future__ import annotations

from dataclasses import replace

from fleet.holder import Hold, HolderKind
from fleet.operation import Effect
from fleet.plan import Release
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
