"""Two operators at one node: whoever began unseen by the other is named, and the other goes no further."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from backends.kubernetes.closing import close
from backends.kubernetes.node_edit import read_node
from backends.kubernetes.our_keys import OurKeys
from fleet.errors import Conflict
from fleet.holder import Hold
from fleet.node import Stage
from fleet.operation import StepState
from fleet.plan import Action, Before, Close, PutImage, Remove
from tests.unit.kubernetes_actions.fakes import Lab
from tests.unit.kubernetes_actions.test_recreating import performed

KEYS = OurKeys()
MINE = Hold("oncall", "patch", verb="reimage", operation="op-1")
THEIRS = Hold("other@desk", "dead fan", verb="retire", operation="op-2")
TAKING_AWAY = (
    Close(MINE, Stage.DRAINING),
    Close(replace(MINE, verb="drain"), Stage.DRAINING),
    Close(replace(MINE, verb="retire"), Stage.RETIRING),
    PutImage("v2", "recreate", MINE),
    Remove("op-1"),
)


async def held(lab: Lab, *holds: Hold) -> None:
    for hold in holds:
        step = lab.step(Close(hold), Before(uid="u1", holds=holds))
        await lab.writer.perform(step, lambda progress: None)


@pytest.mark.parametrize("action", TAKING_AWAY, ids=lambda action: type(action).__name__)
async def test_an_operation_that_began_since_the_plan_was_shown_is_a_conflict_that_names_it(
    action: Action,
) -> None:
    lab = Lab()
    await held(lab, THEIRS)
    step = replace(lab.step(action), before=Before(uid="u1", manifest="{}"))
    sent = len(lab.api.sent)
    with pytest.raises(Conflict, match=r"operation op-2 \(retire\) of other@desk began on it .*dead fan"):
        await lab.writer.perform(step, lambda progress: None)
    assert len(lab.api.sent) == sent


async def test_a_hold_that_lands_between_our_read_and_our_write_is_a_conflict_too() -> None:
    lab = Lab()
    patch = close(read_node(json.dumps(lab.api.node).encode()), Close(THEIRS), KEYS).patch
    assert patch is not None
    send = lab.api.send

    async def meddling(method: str, path: str, body: bytes = b"", **rest: object) -> bytes:
        lab.api.send = send  # type: ignore[method-assign]
        await send("PATCH", path, patch)
        return await send(method, path, body)

    lab.api.send = meddling  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="op-2"):
        await performed(lab, lab.step(Close(MINE)))


async def test_an_operation_that_the_plan_showed_is_no_conflict() -> None:
    lab = Lab()
    await held(lab, THEIRS)
    step = lab.step(Close(MINE, Stage.DRAINING), Before(uid="u1", holds=(THEIRS,)))
    assert (await lab.writer.perform(step, lambda progress: None)).state is StepState.DONE


@pytest.mark.parametrize(
    "there", [replace(THEIRS, verb="cordon"), replace(THEIRS, step="3-movework")], ids=["cordon", "failed"]
)
async def test_a_hold_of_nobody_at_work_is_no_conflict(there: Hold) -> None:
    lab = Lab()
    await held(lab, there)
    step = lab.step(Close(MINE, Stage.DRAINING))
    assert (await lab.writer.perform(step, lambda progress: None)).state is StepState.DONE


@pytest.mark.parametrize("hold", [replace(MINE, verb="cordon"), replace(MINE, step="2-movework")])
async def test_a_cordon_and_the_naming_of_a_failure_are_written_beside_whoever_works_there(
    hold: Hold,
) -> None:
    lab = Lab()
    await held(lab, THEIRS)
    assert (await lab.writer.perform(lab.step(Close(hold)), lambda progress: None)).state is StepState.DONE
