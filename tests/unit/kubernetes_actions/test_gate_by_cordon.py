"""A category that gates by cordon: its nodes are closed to new work at every step, and never by the taint."""

from __future__ import annotations

from fleet.category import Category
from fleet.health import Finding, GateRecord, Verdict
from fleet.holder import Hold
from fleet.plan import ApplyVerdict, Check, Close, Create, PutImage, Verb
from fleet.policy import Policy
from tests.clocks import START
from tests.desk import Desk
from tests.fakes import node, request
from tests.unit.kubernetes_actions.fakes import Lab
from tests.unit.kubernetes_actions.test_recreating import performed
from tests.unit.test_planning import planned

HOLD = Hold("oncall", "patch", verb="reimage", operation="op-1")
FAIL = GateRecord(Verdict.FAIL, (Finding("xid", Verdict.FAIL, "79"),), START, "oncall", "d")
POLICY = Policy(categories={"h100": Category("h100", gate_by_cordon=True)})


def spec(lab: Lab) -> object:
    assert lab.api.node is not None
    return lab.api.node["spec"]


async def test_a_node_made_again_comes_back_cordoned_and_without_the_taint() -> None:
    lab = Lab()
    await lab.writer.perform(lab.step(Close(HOLD)), lambda progress: None)
    step = await lab.writer.prepare(lab.step(PutImage("v2", "recreate", HOLD, by_cordon=True)))
    await performed(lab, step)
    assert spec(lab) == {"unschedulable": True}


async def test_a_new_node_comes_cordoned_and_without_the_taint() -> None:
    lab = Lab()
    assert lab.api.node is not None
    lab.api.node["metadata"]["annotations"]["kwok.x-k8s.io/node"] = "fake"

    async def sibling(path: str, query: object = (), **_: object) -> bytes:
        return b'{"items": [{"metadata": {"name": "n0", "annotations": {"kwok.x-k8s.io/node": "fake"}}}]}'

    lab.api.get = sibling  # type: ignore[method-assign]
    await performed(lab, lab.step(Create("h100", "v2", HOLD, by_cordon=True)))
    assert spec(lab) == {"unschedulable": True}


async def test_a_node_that_fails_its_gate_is_quarantined_by_a_cordon() -> None:
    lab = Lab()
    verdict = ApplyVerdict(FAIL, "op-1", quarantine=True, hold=HOLD, by_cordon=True)
    await performed(lab, lab.step(verdict))
    assert lab.api.node is not None
    assert spec(lab) == {"unschedulable": True}
    assert lab.api.node["metadata"]["labels"]["node.lab/lifecycle"] == "quarantined"
    passed = GateRecord(Verdict.PASS, (), START, "oncall", "p")
    await performed(lab, lab.step(ApplyVerdict(passed, "op-1", admit=True)))
    assert spec(lab) == {}


def test_every_step_of_such_a_category_says_so() -> None:
    found = planned(request(Verb.REIMAGE), node(), policy=POLICY)
    actions = [step.action for step in found.steps]
    assert not any(action.gate for action in actions if isinstance(action, Close))
    assert [action.by_cordon for action in actions if isinstance(action, PutImage | Check)] == [True, True]
    gate = planned(request(Verb.GATE), node(), policy=POLICY).steps[-1].action
    assert isinstance(gate, Check)
    assert gate.by_cordon


async def test_a_verdict_is_applied_as_its_category_gates() -> None:
    desk = Desk(POLICY)
    desk.lab.add(node())
    desk.lab.verdict = Verdict.FAIL
    await desk.start(Verb.REIMAGE)
    await desk.ended()
    applied = desk.lab.performed[-1].action
    assert isinstance(applied, ApplyVerdict)
    assert (applied.quarantine, applied.by_cordon) == (True, True)
