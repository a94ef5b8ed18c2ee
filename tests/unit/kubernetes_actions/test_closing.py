"""What a change of admission makes of a Node, and what it leaves to others."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from backends.kubernetes.closing import Change, apply_verdict, close, mark, release
from backends.kubernetes.held_by import UNREADABLE, holds_of
from backends.kubernetes.holders import UNKNOWN as UNKNOWN_BY
from backends.kubernetes.holders import foreign_holds
from backends.kubernetes.node_edit import NodeObject, read_node
from backends.kubernetes.our_keys import DO_NOT_DISRUPT, SCALE_DOWN_DISABLED, OurKeys
from fleet.errors import Conflict
from fleet.health import Finding, GateRecord, Verdict
from fleet.holder import Hold, HolderKind
from fleet.node import Stage
from fleet.plan import ApplyVerdict, Close, Mark, Release

KEYS = OurKeys()
AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
MINE = Hold("oncall", "maintenance", verb="cordon", operation="op-1", since=AT)
THEIRS = Hold("colleague", "fan noise", verb="cordon", operation="op-2", since=AT)
DRAIN = Hold("oncall", "firmware", verb="drain", operation="op-3", since=AT)
THEIR_TAINT = {"key": "team", "value": "a", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}
GATE_TAINT = {"key": "node.lab/health-gate", "value": "pending", "effect": "NoSchedule"}
PASS = GateRecord(Verdict.PASS, (Finding("ready", Verdict.PASS),), AT, "oncall", "d1")
FAIL = GateRecord(Verdict.FAIL, (Finding("xid", Verdict.FAIL, "79"),), AT, "oncall", "d2")
UNKNOWN = GateRecord(Verdict.UNKNOWN, (Finding("gpus", Verdict.UNKNOWN),), AT, "oncall", "d3")


def nobody(node: NodeObject) -> tuple[Hold, ...]:
    """What the node's own keys tell of others: nobody but, maybe, an unsigned cordon."""
    return foreign_holds(node, KEYS)


def sentinel(node: NodeObject) -> tuple[Hold, ...]:
    return (Hold("NVSentinel", "XID 79", HolderKind.CONTROLLER),)


class Lab:
    """One Node, as the API server would keep it: merge patches are applied to it."""

    def __init__(self, **spec: Any) -> None:
        self.object: dict[str, Any] = {
            "metadata": {"name": "n1", "uid": "u1", "resourceVersion": "7", "labels": {"keep": "me"}},
            "spec": {"taints": [THEIR_TAINT], **spec},
        }

    @property
    def node(self) -> NodeObject:
        return read_node(json.dumps(self.object).encode())

    @property
    def holders(self) -> list[str]:
        notes = self.node.annotations
        return [hold.by for hold in holds_of(notes.get(KEYS.held_by), notes.get(KEYS.unreadable))]

    @property
    def stage(self) -> str | None:
        return self.node.labels.get(KEYS.lifecycle)

    def cordoned(self) -> bool:
        return self.node.unschedulable

    def note(self, key: str, text: str) -> None:
        self.object["metadata"].setdefault("annotations", {})[key] = text

    def take(self, change: Change) -> str:
        if change.patch is not None:
            patch = json.loads(change.patch)
            assert patch["metadata"].pop("resourceVersion") == "7"
            merge(self.object, patch)
        return change.says


def merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


def test_closing_writes_the_hold_with_the_change_and_keeps_every_taint() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(MINE, Stage.DRAINING, gate=True), KEYS))
    assert lab.cordoned()
    assert lab.object["spec"]["taints"] == [THEIR_TAINT, GATE_TAINT]
    assert lab.holders == ["oncall"]
    assert lab.stage == "draining"
    assert lab.node.labels["keep"] == "me"


def test_closing_twice_is_closing_once() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(MINE), KEYS))
    assert close(lab.node, Close(MINE), KEYS) == Change(None, "already so")


def test_a_failure_is_named_in_the_hold_that_is_there() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(DRAIN), KEYS))
    lab.take(close(lab.node, Close(replace(DRAIN, reason="firmware (deadline)", found="cordoned")), KEYS))
    (hold,) = holds_of(lab.node.annotations[KEYS.held_by], None)
    assert hold.reason == "firmware (deadline)"
    assert hold.found == "open"


def test_a_foreign_uncordon_is_respected() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(MINE), KEYS))
    del lab.object["spec"]["unschedulable"]
    with pytest.raises(Conflict, match="somebody opened it"):
        close(lab.node, Close(MINE), KEYS)


def test_a_release_leaves_a_colleagues_hold_and_stays_closed() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(MINE), KEYS))
    lab.take(close(lab.node, Close(THEIRS), KEYS))
    says = lab.take(release(lab.node, Release(("op-1",)), KEYS, nobody))
    assert says == "lifted; stays closed: colleague (fan noise)"
    assert lab.cordoned()
    assert lab.holders == ["colleague"]
    assert lab.take(release(lab.node, Release(("op-2",)), KEYS, nobody)) == "opened"
    assert not lab.cordoned()
    assert lab.stage == "in-service"


def test_a_colleagues_hold_is_taken_over_by_name() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(THEIRS), KEYS))
    lab.take(release(lab.node, Release(take_over=("colleague",)), KEYS, nobody))
    assert not lab.cordoned()
    assert lab.holders == []


def test_a_take_over_lifts_nobody_who_was_not_named() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(THEIRS), KEYS))
    lab.take(close(lab.node, Close(replace(MINE, by="third", operation="op-9")), KEYS))
    lab.take(release(lab.node, Release(take_over=("colleague",)), KEYS, nobody))
    assert lab.holders == ["third"]
    assert lab.cordoned()


def test_a_controllers_hold_keeps_the_node_closed_until_it_is_taken_over() -> None:
    lab = Lab(unschedulable=True)
    lab.take(close(lab.node, Close(MINE), KEYS))
    says = lab.take(release(lab.node, Release(("op-1",)), KEYS, sentinel))
    assert says == "lifted; stays closed: NVSentinel (XID 79)"
    assert lab.cordoned()
    lab.take(release(lab.node, Release(take_over=("NVSentinel",)), KEYS, sentinel))
    assert not lab.cordoned()


def test_a_cordon_that_nobody_signed_outlives_our_hold() -> None:
    lab = Lab(unschedulable=True)
    lab.take(close(lab.node, Close(MINE), KEYS))
    lab.take(release(lab.node, Release(("op-1",)), KEYS, nobody))
    assert lab.cordoned()
    assert lab.holders == []
    lab.take(release(lab.node, Release(take_over=(UNKNOWN_BY,)), KEYS, nobody))
    assert not lab.cordoned()


@pytest.mark.parametrize("order", [("op-1", "op-2"), ("op-2", "op-1")])
def test_the_last_of_our_holds_puts_back_what_was_found_before_the_first(order: tuple[str, str]) -> None:
    open_before, closed_before = Lab(), Lab(unschedulable=True)
    for lab in (open_before, closed_before):
        lab.take(close(lab.node, Close(MINE), KEYS))
        lab.take(close(lab.node, Close(THEIRS), KEYS))
        for operation in order:
            lab.take(release(lab.node, Release((operation,)), KEYS, nobody))
    assert not open_before.node.unschedulable
    assert closed_before.node.unschedulable


def test_a_release_of_an_open_node_is_already_so() -> None:
    lab = Lab()
    assert release(lab.node, Release(("op-1",), stage=None), KEYS, nobody) == Change(None, "already open")


def test_a_text_that_nobody_can_read_is_set_aside_and_keeps_the_node_closed() -> None:
    lab = Lab()
    lab.note(KEYS.held_by, "scribble")
    lab.take(close(lab.node, Close(MINE), KEYS))
    assert lab.node.annotations[KEYS.unreadable] == "scribble"
    assert lab.holders == ["oncall", UNREADABLE]
    lab.take(release(lab.node, Release(("op-1",)), KEYS, nobody))
    assert lab.cordoned()
    lab.take(release(lab.node, Release(take_over=(UNREADABLE,)), KEYS, nobody))
    assert not lab.cordoned()
    assert KEYS.unreadable not in lab.node.annotations


def test_a_second_scribble_is_set_aside_beside_the_first() -> None:
    lab = Lab()
    lab.note(KEYS.held_by, "second")
    lab.note(KEYS.unreadable, "first")
    lab.take(close(lab.node, Close(MINE), KEYS))
    assert lab.node.annotations[KEYS.unreadable] == "first\nsecond"


def test_autoscalers_are_kept_away_while_an_operation_works_and_get_back_what_was_found() -> None:
    lab = Lab()
    lab.note(SCALE_DOWN_DISABLED, "false")
    lab.take(close(lab.node, Close(DRAIN), KEYS))
    assert lab.node.annotations[SCALE_DOWN_DISABLED] == "true"
    assert lab.node.annotations[DO_NOT_DISRUPT] == "true"
    lab.take(release(lab.node, Release(("op-3",)), KEYS, nobody))
    assert lab.node.annotations == {SCALE_DOWN_DISABLED: "false"}


@pytest.mark.parametrize("order", [("op-3", "op-4"), ("op-4", "op-3")])
def test_the_last_operation_to_go_gives_the_autoscalers_back_what_the_first_found(
    order: tuple[str, str],
) -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(DRAIN), KEYS))
    lab.take(close(lab.node, Close(replace(DRAIN, operation="op-4")), KEYS))
    lab.take(release(lab.node, Release((order[0],)), KEYS, nobody))
    assert lab.node.annotations[DO_NOT_DISRUPT] == "true"
    lab.take(release(lab.node, Release((order[1],)), KEYS, nobody))
    assert lab.node.annotations == {}


def test_what_somebody_set_meanwhile_for_an_autoscaler_is_left() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(DRAIN), KEYS))
    lab.note(DO_NOT_DISRUPT, "until-friday")
    lab.take(release(lab.node, Release(("op-3",)), KEYS, nobody))
    assert lab.node.annotations == {DO_NOT_DISRUPT: "until-friday"}


def test_a_cordon_leaves_the_autoscalers_alone() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(MINE), KEYS))
    assert set(lab.node.annotations) == {KEYS.held_by}


def test_a_pass_opens_the_gate_and_lifts_the_operations_hold() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(DRAIN, Stage.GATED, gate=True), KEYS))
    assert (
        lab.take(apply_verdict(lab.node, ApplyVerdict(PASS, "op-3", admit=True), KEYS, nobody)) == "admitted"
    )
    assert not lab.cordoned()
    assert lab.object["spec"]["taints"] == [THEIR_TAINT]
    assert lab.stage == "in-service"
    assert lab.holders == []
    assert '"PASS"' in lab.node.annotations[KEYS.gate]


def test_a_pass_never_lifts_a_colleagues_hold() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(DRAIN, gate=True), KEYS))
    lab.take(close(lab.node, Close(THEIRS), KEYS))
    lab.take(apply_verdict(lab.node, ApplyVerdict(PASS, "op-3", admit=True), KEYS, nobody))
    assert lab.cordoned()
    assert lab.holders == ["colleague"]
    assert not lab.node.gated(KEYS)


def test_a_later_pass_lifts_what_an_earlier_operation_left_behind_the_gate() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(DRAIN, Stage.REIMAGING, gate=True), KEYS))
    lab.take(apply_verdict(lab.node, ApplyVerdict(UNKNOWN, "op-3"), KEYS, nobody))
    lab.take(apply_verdict(lab.node, ApplyVerdict(PASS, "op-8", admit=True), KEYS, nobody))
    assert not lab.node.closed(KEYS)


def test_a_pass_opens_a_node_that_came_with_the_taint_alone() -> None:
    lab = Lab(taints=[GATE_TAINT])
    lab.take(apply_verdict(lab.node, ApplyVerdict(PASS, "op-8", admit=True), KEYS, nobody))
    assert "taints" not in lab.object["spec"]


def test_a_failure_quarantines_in_the_place_of_the_operations_hold() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(DRAIN, gate=True), KEYS))
    gate = Hold("oncall", "xid FAIL (79)", verb="gate", operation="op-3", since=AT)
    lab.take(apply_verdict(lab.node, ApplyVerdict(FAIL, "op-3", quarantine=True, hold=gate), KEYS, nobody))
    assert lab.stage == "quarantined"
    assert lab.cordoned()
    assert lab.node.gated(KEYS)
    (hold,) = holds_of(lab.node.annotations[KEYS.held_by], None)
    assert (hold.reason, hold.found) == ("xid FAIL (79)", "open")
    lab.take(apply_verdict(lab.node, ApplyVerdict(PASS, "op-8", admit=True), KEYS, nobody))
    assert not lab.node.closed(KEYS)
    assert lab.node.annotations.keys() == {KEYS.gate}


def test_failing_again_and_again_leaves_one_hold() -> None:
    lab = Lab()
    for number in range(5):
        gate = Hold("oncall", f"try {number}", verb="gate", operation=f"op-{number}", since=AT)
        lab.take(
            apply_verdict(
                lab.node, ApplyVerdict(FAIL, gate.operation, quarantine=True, hold=gate), KEYS, nobody
            )
        )
    (hold,) = holds_of(lab.node.annotations[KEYS.held_by], None)
    assert hold.reason == "try 4"


def test_an_unknown_verdict_changes_nothing_but_the_record() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(DRAIN, gate=True), KEYS))
    before = msgspec.structs.replace(lab.node.spec) if lab.node.spec else None
    lab.take(apply_verdict(lab.node, ApplyVerdict(UNKNOWN, "op-3"), KEYS, nobody))
    assert lab.node.spec == before
    assert lab.holders == ["oncall"]
    assert '"UNKNOWN"' in lab.node.annotations[KEYS.gate]


def test_the_same_verdict_again_writes_nothing() -> None:
    lab = Lab()
    lab.take(apply_verdict(lab.node, ApplyVerdict(PASS, "op-3"), KEYS, nobody))
    later = replace(PASS, at=AT.replace(hour=9))
    assert apply_verdict(lab.node, ApplyVerdict(later, "op-4"), KEYS, nobody).patch is None


def test_marking_writes_the_stage_and_nothing_else() -> None:
    lab = Lab(unschedulable=True)
    change = mark(lab.node, Mark(Stage.DRAINED), KEYS)
    assert json.loads(change.patch or b"") == {
        "metadata": {"labels": {KEYS.lifecycle: "drained"}, "resourceVersion": "7"}
    }
    lab.take(change)
    assert mark(lab.node, Mark(Stage.DRAINED), KEYS).patch is None


def test_a_hold_that_a_colleague_took_off_is_not_written_again() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(DRAIN), KEYS))
    lab.take(release(lab.node, Release(take_over=("oncall",)), KEYS, nobody))
    with pytest.raises(Conflict, match="lifted"):
        close(lab.node, Close(DRAIN, Stage.REIMAGING, gate=True, again=True), KEYS)


@pytest.mark.parametrize("opens", ["verdict", "release"])
def test_a_gate_that_opens_leaves_closed_what_a_colleague_holds(opens: str) -> None:
    lab = Lab(taints=[GATE_TAINT])
    lab.take(close(lab.node, Close(THEIRS), KEYS))
    del lab.object["spec"]["unschedulable"]
    if opens == "verdict":
        says = lab.take(apply_verdict(lab.node, ApplyVerdict(PASS, "op-9", admit=True), KEYS, nobody))
    else:
        says = lab.take(release(lab.node, Release(("op-9",), open_gate=True), KEYS, nobody))
    assert "stays closed" in says
    assert lab.cordoned()
    assert lab.holders == ["colleague"]


def test_a_stage_is_not_written_on_a_node_that_somebody_opened() -> None:
    lab = Lab()
    with pytest.raises(Conflict, match="opened"):
        mark(lab.node, Mark(Stage.DRAINED), KEYS)


def test_a_pass_under_a_colleagues_drain_does_not_say_in_service() -> None:
    lab = Lab(taints=[GATE_TAINT])
    lab.take(close(lab.node, Close(replace(DRAIN, by="colleague", operation="op-9")), KEYS))
    lab.take(apply_verdict(lab.node, ApplyVerdict(PASS, "op-4", admit=True), KEYS, nobody))
    assert lab.cordoned()
    assert lab.stage == Stage.DRAINING.value


def test_a_node_reimaged_under_a_colleagues_drain_is_drained_again_for_them() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(replace(DRAIN, by="colleague", operation="op-9"), Stage.DRAINED), KEYS))
    reimage = replace(DRAIN, verb="reimage", operation="op-4")
    lab.take(close(lab.node, Close(reimage, Stage.REIMAGING, gate=True), KEYS))
    lab.take(apply_verdict(lab.node, ApplyVerdict(PASS, "op-4", admit=True), KEYS, nobody))
    assert lab.holders == ["colleague"]
    assert lab.cordoned()
    assert lab.stage == Stage.DRAINED.value


def test_our_hold_comes_off_an_open_node_and_gives_the_autoscalers_back_what_was_found() -> None:
    lab = Lab()
    lab.note(SCALE_DOWN_DISABLED, "false")
    lab.take(close(lab.node, Close(DRAIN, Stage.DRAINING), KEYS))
    del lab.object["spec"]["unschedulable"]
    off = Release(("op-3",), as_it_stands=True)
    assert "nothing of ours" in lab.take(release(lab.node, off, KEYS, nobody))
    assert lab.node.annotations == {SCALE_DOWN_DISABLED: "false"}
    assert (lab.cordoned(), lab.stage) == (False, Stage.IN_SERVICE.value)
    assert release(lab.node, off, KEYS, nobody).patch is None


def test_taking_our_hold_off_an_open_node_never_closes_it_for_a_colleague() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(THEIRS), KEYS))
    lab.take(close(lab.node, Close(DRAIN, Stage.DRAINING), KEYS))
    del lab.object["spec"]["unschedulable"]
    lab.take(release(lab.node, Release(("op-3",), as_it_stands=True), KEYS, nobody))
    assert (lab.holders, lab.cordoned()) == (["colleague"], False)
    assert DO_NOT_DISRUPT not in lab.node.annotations


def test_a_pass_takes_what_is_ours_off_a_node_that_somebody_opened_meanwhile() -> None:
    lab = Lab()
    lab.note(SCALE_DOWN_DISABLED, "false")
    lab.take(close(lab.node, Close(replace(DRAIN, verb="reimage"), Stage.REIMAGING, gate=True), KEYS))
    lab.object["spec"].clear()
    lab.take(apply_verdict(lab.node, ApplyVerdict(PASS, "op-3", admit=True), KEYS, nobody))
    assert (lab.holders, lab.cordoned(), lab.stage) == ([], False, Stage.IN_SERVICE.value)
    assert lab.node.annotations[SCALE_DOWN_DISABLED] == "false"
    assert DO_NOT_DISRUPT not in lab.node.annotations


def test_a_node_that_was_to_be_left_open_and_is_closed_is_a_conflict() -> None:
    lab = Lab()
    lab.take(close(lab.node, Close(DRAIN), KEYS))
    with pytest.raises(Conflict, match="closed it again"):
        release(lab.node, Release(("op-3",), as_it_stands=True), KEYS, nobody)
