"""Closing and opening nodes: what holds for every orchestrator, however many people do it at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.errors import Conflict, Denied, Missing
from fleet.health import Acceptance, Finding, GateRecord, Repair, Verdict
from fleet.holder import Hold
from fleet.node import Admission, NodeKey, Stage
from fleet.operation import Effect, StepState
from fleet.plan import Action, ApplyVerdict, Attest, Close, Mark, Release
from tests.contract.limited import deny
from tests.contract.orchestrator import KEYS, Json, Orchestrator

TEAM_TAINT = {"key": "example.com/team", "value": "a", "effect": "NoSchedule"}
AT_NIGHT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
WORD = Acceptance("telemetry", "oncall@desk", "power event", AT_NIGHT, AT_NIGHT + timedelta(hours=4))
REPAIR = Repair("oncall@desk", "new GPU 3", AT_NIGHT, "gate d1 2026-03-01T02:00:00+00:00")


def record(orchestrator: Orchestrator, verdict: Verdict) -> GateRecord:
    return GateRecord(
        verdict, (Finding("ready", verdict, "x"),), orchestrator.clock.now(), "oncall", verdict.value
    )


def by(holds: Sequence[Hold]) -> list[str]:
    return [hold.by for hold in holds]


async def between(
    orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch, key: NodeKey, patch: Json
) -> None:
    """Let a colleague change the node once, between our read and our write."""
    send = orchestrator.api.send
    meddled: list[str] = []

    async def meddling(method: str, path: str, body: bytes = b"", **rest: Any) -> bytes:
        if method == "PATCH" and not meddled:
            meddled.append(path)
            monkeypatch.undo()
            await orchestrator.patch_node(key, patch)
        return await send(method, path, body, **rest)

    monkeypatch.setattr(orchestrator.api, "send", meddling)


async def test_cordoning_closes_with_a_name_and_a_reason(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    outcome = await orchestrator.perform(node, Close(orchestrator.hold(reason="fan noise")))
    assert outcome.state is StepState.DONE
    facts = await orchestrator.facts(node)
    assert facts.node.admission is Admission.CORDONED
    assert [(hold.by, hold.reason, hold.found) for hold in facts.node.holds] == [
        ("oncall", "fan noise", "open")
    ]


async def test_cordoning_twice_is_cordoning_once(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await orchestrator.perform(node, Close(orchestrator.hold()))
    before = await orchestrator.raw_node(node)
    outcome = await orchestrator.perform(node, Close(orchestrator.hold()))
    assert outcome.state is StepState.SKIPPED
    after = await orchestrator.raw_node(node)
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]


async def test_a_stale_change_is_done_again_without_losing_a_colleagues_taint(
    orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await orchestrator.node()
    taints = [*(await orchestrator.raw_node(node))["spec"]["taints"], TEAM_TAINT]
    await between(orchestrator, monkeypatch, node, {"spec": {"taints": taints}})
    outcome = await orchestrator.perform(
        node, Close(orchestrator.hold("reimage"), Stage.REIMAGING, gate=True)
    )
    assert outcome.state is StepState.DONE
    facts = await orchestrator.facts(node)
    assert {"example.com/team", KEYS.gate_taint} <= {taint.key for taint in facts.node.taints}
    assert facts.node.admission is Admission.GATED
    assert facts.node.stage is Stage.REIMAGING


async def test_opening_the_gate_takes_away_our_taint_alone(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node(taints=(TEAM_TAINT,))
    await orchestrator.perform(node, Close(orchestrator.hold("reimage"), Stage.GATED, gate=True))
    verdict = ApplyVerdict(record(orchestrator, Verdict.PASS), orchestrator.operation, admit=True)
    assert (await orchestrator.perform(node, verdict)).state is StepState.DONE
    facts = await orchestrator.facts(node)
    assert facts.node.stage is Stage.IN_SERVICE
    assert facts.node.holds == ()
    assert not facts.unschedulable
    keys = {taint.key for taint in facts.node.taints}
    assert "example.com/team" in keys
    assert KEYS.gate_taint not in keys


async def test_two_writers_at_once_lose_nothing_of_each_other(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    closes = [
        Close(orchestrator.hold(by=f"writer-{number}", operation=f"op-{number}")) for number in range(3)
    ]
    steps = [await orchestrator.planned(node, close) for close in closes]
    await asyncio.gather(*(orchestrator.writer.perform(step, lambda progress: None) for step in steps))
    assert sorted(by((await orchestrator.facts(node)).node.holds)) == ["writer-0", "writer-1", "writer-2"]


async def test_an_uncordon_leaves_a_colleagues_hold_and_stays_closed(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await orchestrator.perform(node, Close(orchestrator.hold()))
    await orchestrator.perform(node, Close(orchestrator.hold(by="colleague", operation="op-other")))
    outcome = await orchestrator.perform(node, Release((orchestrator.operation,)))
    assert "colleague" in outcome.says
    facts = await orchestrator.facts(node)
    assert facts.unschedulable
    assert by(facts.node.holds) == ["colleague"]
    await orchestrator.perform(node, Release(take_over=("colleague",)))
    facts = await orchestrator.facts(node)
    assert not facts.unschedulable
    assert facts.node.holds == ()


async def test_a_cordon_that_nobody_signed_is_opened_only_by_name(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await orchestrator.patch_node(node, {"spec": {"unschedulable": True}})
    await orchestrator.perform(node, Close(orchestrator.hold()))
    await orchestrator.perform(node, Release((orchestrator.operation,)))
    facts = await orchestrator.facts(node)
    assert facts.unschedulable
    (unnamed,) = facts.node.holds
    await orchestrator.perform(node, Release(take_over=(unnamed.by,)))
    await orchestrator.until_open(node)


async def test_a_hold_that_lands_between_our_read_and_our_write_keeps_the_node_closed(
    orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await orchestrator.node()
    await orchestrator.perform(node, Close(orchestrator.hold()))
    entries = json.loads((await orchestrator.raw_node(node))["metadata"]["annotations"][KEYS.held_by])
    held = json.dumps([*entries, {"by": "colleague", "operation": "op-late", "reason": "fans"}])
    await between(orchestrator, monkeypatch, node, {"metadata": {"annotations": {KEYS.held_by: held}}})
    await orchestrator.perform(node, Release((orchestrator.operation,)))
    facts = await orchestrator.facts(node)
    assert facts.unschedulable
    assert by(facts.node.holds) == ["colleague"]


async def test_a_foreign_uncordon_pauses_our_operation(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await orchestrator.perform(node, Close(orchestrator.hold("reimage")))
    await orchestrator.patch_node(node, {"spec": {"unschedulable": None}})
    with pytest.raises(Conflict, match="opened"):
        await orchestrator.perform(node, Close(orchestrator.hold("reimage"), Stage.REIMAGING, gate=True))
    assert not (await orchestrator.facts(node)).unschedulable


async def test_a_failed_gate_quarantines_and_a_later_pass_lifts_it(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await orchestrator.perform(node, Close(orchestrator.hold("reimage"), Stage.GATED, gate=True))
    hold = orchestrator.hold("gate", reason="xid FAIL (79)")
    fail = ApplyVerdict(
        record(orchestrator, Verdict.FAIL), orchestrator.operation, quarantine=True, hold=hold
    )
    await orchestrator.perform(node, fail)
    facts = await orchestrator.facts(node)
    assert facts.node.stage is Stage.QUARANTINED
    assert [hold.reason for hold in facts.node.holds] == ["xid FAIL (79)"]
    assert facts.node.gate is not None
    assert facts.node.gate.verdict is Verdict.FAIL
    await orchestrator.perform(node, ApplyVerdict(record(orchestrator, Verdict.PASS), "op-later", admit=True))
    await orchestrator.until_open(node)
    assert (await orchestrator.facts(node)).node.stage is Stage.IN_SERVICE


async def test_an_unknown_verdict_is_recorded_and_opens_nothing(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await orchestrator.perform(node, Close(orchestrator.hold("reimage"), Stage.GATED, gate=True))
    await orchestrator.perform(
        node, ApplyVerdict(record(orchestrator, Verdict.UNKNOWN), orchestrator.operation)
    )
    facts = await orchestrator.facts(node)
    assert facts.node.admission is Admission.GATED
    assert by(facts.node.holds) == ["oncall"]
    assert facts.node.gate is not None
    assert facts.node.gate.verdict is Verdict.UNKNOWN


async def test_a_stage_is_marked_without_touching_admission(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await orchestrator.perform(node, Close(orchestrator.hold("drain"), Stage.DRAINING))
    assert (await orchestrator.perform(node, Mark(Stage.DRAINED))).state is StepState.DONE
    facts = await orchestrator.facts(node)
    assert (facts.node.stage, facts.node.admission) == (Stage.DRAINED, Admission.CORDONED)


async def test_a_dry_run_is_answered_and_changes_nothing(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    outcome = await orchestrator.writer.dry_run(await orchestrator.planned(node, Close(orchestrator.hold())))
    assert outcome.state is StepState.DONE
    facts = await orchestrator.facts(node)
    assert facts.node.holds == ()
    assert not facts.unschedulable


async def test_a_node_that_is_not_there_is_missing(orchestrator: Orchestrator) -> None:
    nowhere = NodeKey(orchestrator.source, orchestrator.unique("nowhere"))
    step = orchestrator.step(nowhere, Close(orchestrator.hold()))
    with pytest.raises(Missing):
        await orchestrator.writer.prepare(step)
    with pytest.raises(Missing):
        await orchestrator.writer.perform(step, orchestrator.progress.append)


async def test_another_machine_of_that_name_is_a_conflict(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    step = await orchestrator.planned(node, Close(orchestrator.hold()))
    other = await orchestrator.node()
    with pytest.raises(Conflict, match="another machine"):
        await orchestrator.writer.perform(
            orchestrator.step(other, step.action, step.before), orchestrator.progress.append
        )
    assert not (await orchestrator.facts(other)).unschedulable


async def test_a_refusal_is_denied_and_changes_nothing(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await deny(orchestrator, ("patch", "nodes"))
    with pytest.raises(Denied):
        await orchestrator.perform(node, Close(orchestrator.hold()))
    assert not (await orchestrator.facts(node)).unschedulable


@pytest.mark.parametrize("word", ["close", "release", "mark", "verdict", "attest"])
async def test_what_became_of_a_change_is_told_from_the_node(orchestrator: Orchestrator, word: str) -> None:
    node = await orchestrator.node()
    actions: dict[str, Action] = {
        "close": Close(orchestrator.hold("reimage"), Stage.REIMAGING, gate=True),
        "release": Release((orchestrator.operation,)),
        "mark": Mark(Stage.DRAINED),
        "verdict": ApplyVerdict(record(orchestrator, Verdict.PASS), orchestrator.operation, admit=True),
        "attest": Attest(WORD.since, WORD, REPAIR),
    }
    if word != "close":
        await orchestrator.perform(node, Close(orchestrator.hold("drain"), Stage.DRAINING))
    step = await orchestrator.planned(node, actions[word])
    assert await orchestrator.effect(step) is Effect.NOT
    await orchestrator.writer.perform(step, orchestrator.progress.append)
    assert await orchestrator.effect(step) is Effect.TOOK


async def test_what_a_person_vouches_for_is_on_the_node_and_opens_nothing(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    await orchestrator.perform(node, Close(orchestrator.hold("reimage"), Stage.GATED, gate=True))
    assert (await orchestrator.perform(node, Attest(WORD.since, WORD))).state is StepState.DONE
    assert (await orchestrator.perform(node, Attest(WORD.since, WORD))).state is StepState.SKIPPED
    assert (await orchestrator.perform(node, Attest(WORD.since, repair=REPAIR))).state is StepState.DONE
    facts = await orchestrator.facts(node)
    assert (facts.node.accepted, facts.node.repair) == ((WORD,), REPAIR)
    assert facts.node.admission is Admission.GATED
    assert facts.node.stage is Stage.GATED


async def test_autoscalers_are_kept_away_from_a_node_under_work(orchestrator: Orchestrator) -> None:
    node = await orchestrator.node()
    key = "karpenter.sh/do-not-disrupt"
    await orchestrator.perform(node, Close(orchestrator.hold("drain")))
    assert (await orchestrator.raw_node(node))["metadata"]["annotations"][key] == "true"
    await orchestrator.perform(node, Release((orchestrator.operation,)))
    assert key not in (await orchestrator.raw_node(node))["metadata"]["annotations"]


async def test_the_scheduler_keeps_away_from_a_gated_node(orchestrator: Orchestrator) -> None:
    node, space = await orchestrator.node(), await orchestrator.namespace()
    await orchestrator.perform(node, Close(orchestrator.hold("reimage"), Stage.GATED, gate=True))
    with pytest.raises(AssertionError, match="run on"):
        await orchestrator.replicas(node, space, patience=timedelta(seconds=5))
    await orchestrator.perform(
        node, ApplyVerdict(record(orchestrator, Verdict.PASS), orchestrator.operation, admit=True)
    )
    await orchestrator.until_running(node, "web", 1)
