"""What a row shows, as a pure function of the row and the instant."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fleet.holder import Hold, HolderKind
from fleet.node import Admission, NodeKey, Readiness, Stage
from fleet.row import FleetRow
from fleet.workload import NodeWork
from tests.builders import NOW, node, row, telemetry, work
from widgets.cells import Cell, Scene, cells
from widgets.columns import Column
from widgets.glyphs import ASCII
from widgets.tones import Tone

SCENE = Scene(NOW)
TELEMETRY = (Column.UTIL, Column.TEMP, Column.MEMORY, Column.POWER, Column.XID)
UGLY = ("\x1b[2J\x1b]0;own\x07", "[bold red]x[/]", "y" * 40_000, "節点🧨", "\u202eabc\n\rdef", "")


def cell(of: FleetRow, column: Column, scene: Scene = SCENE) -> Cell:
    return cells(of, scene, [column])[0]


def test_a_healthy_node_says_little() -> None:
    healthy = row(does=work("train-7b", gpus=6), shows=telemetry())
    assert cell(healthy, Column.STAGE).text == "in-service"
    assert cell(healthy, Column.GPUS).text == "6 of 8"
    assert cell(healthy, Column.UTIL) == Cell("71%", Tone.PLAIN, 0.71)
    assert cell(healthy, Column.POWER).text == "4.2"
    assert cell(healthy, Column.XID).text == "none"
    assert cell(healthy, Column.IMAGE).text == "v2"
    assert cell(healthy, Column.HOLDER).text == ""
    assert cell(healthy, Column.STATUS).text == ""


@pytest.mark.parametrize("column", TELEMETRY)
def test_no_telemetry_is_unknown_and_not_zero(column: Column) -> None:
    assert cell(row(), column) == Cell("?", Tone.UNKNOWN)


@pytest.mark.parametrize("column", TELEMETRY)
def test_telemetry_that_is_too_old_is_unknown(column: Column) -> None:
    old = row(shows=telemetry(at=NOW - timedelta(hours=1)))
    assert cell(old, column) == Cell("?", Tone.UNKNOWN)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_not_a_number_is_unknown(value: float | None) -> None:
    shown = row(shows=telemetry(util=value, temp=value, memory=value, power=value))
    for column in (Column.UTIL, Column.TEMP, Column.MEMORY, Column.POWER):
        assert cell(shown, column) == Cell("?", Tone.UNKNOWN)


def test_unknown_work_and_unknown_gpus_are_said_apart() -> None:
    assert cell(row(), Column.GPUS).text == "? of 8"
    assert cell(row(of=node(gpus=None), does=NodeWork(gpus_used=2)), Column.GPUS).text == "2 of ?"
    assert cell(row(of=node(gpus=None)), Column.GPUS).text == "?"
    assert cell(row(), Column.WORK).text == "?"
    assert cell(row(does=NodeWork()), Column.WORK).text == "idle"


def test_a_sticky_xid_says_that_its_age_is_unknown() -> None:
    assert cell(row(shows=telemetry(xid=79)), Column.XID) == Cell("79 ?", Tone.BAD)
    dated = row(shows=telemetry(xid=31, xid_at=NOW - timedelta(minutes=3)))
    assert cell(dated, Column.XID) == Cell("31 3m", Tone.WARN)


def test_drift_shows_both_images() -> None:
    assert cell(row(of=node(running="v1", desired="v2")), Column.IMAGE) == Cell("v1→v2", Tone.WARN)
    reference = node(running="reg.example/os/base:v1", desired="reg.example/os/base:v2")
    assert cell(row(of=reference), Column.IMAGE).text == "base:v1→v2"
    assert cell(row(of=node(running=None, desired=None)), Column.IMAGE).text == "?"
    assert cell(row(of=node(running=None, desired="v2")), Column.IMAGE).text == "?→v2"


def test_a_holder_is_named_with_the_reason_and_a_nameless_one_is_said() -> None:
    ours = node(stage=Stage.DRAINED, holds=[Hold("oncall@desk", "fan swap")])
    assert cell(row(of=ours), Column.HOLDER).text == "oncall@desk: fan swap"
    both = replace(ours, holds=(*ours.holds, Hold("autoscaler", kind=HolderKind.CONTROLLER)))
    assert cell(row(of=both), Column.HOLDER) == Cell("autoscaler +1", Tone.WARN)
    nobody = node(admission=Admission.CORDONED)
    assert cell(row(of=nobody), Column.HOLDER) == Cell("nobody said", Tone.WARN)


def test_a_node_nobody_heard_of_does_not_look_ready() -> None:
    assert cell(row(of=node(readiness=Readiness.UNKNOWN)), Column.ADMISSION) == Cell("not heard", Tone.BAD)
    assert cell(row(of=node(readiness=Readiness.NOT_READY)), Column.ADMISSION) == Cell("NotReady", Tone.BAD)


def test_an_operation_under_way_comes_before_concerns() -> None:
    busy = row(of=node(stage=Stage.DRAINING))
    scene = Scene(NOW, pending={NodeKey("demo", "gpu-001"): "waits for budget web-pdb"})
    assert cell(busy, Column.STATUS, scene).text == "waits for budget web-pdb"
    assert cell(replace(busy, pending="cordon asked"), Column.STATUS).text == "cordon asked"


def test_the_status_says_what_the_stage_column_does_not() -> None:
    held = node(stage=Stage.DRAINED, holds=[Hold("oncall@desk", "fan swap")])
    assert cell(row(of=held), Column.STATUS).text.startswith("by oncall@desk: fan swap")


@pytest.mark.parametrize("ugly", UGLY)
def test_no_text_from_outside_reaches_the_terminal_raw(ugly: str) -> None:
    seen = node(
        ugly,
        source=ugly,
        category=ugly,
        running=ugly,
        desired="v2",
        holds=[Hold(ugly, ugly)],
        stage=Stage.DRAINED,
    )
    shown = cells(row(of=seen, does=work(ugly, gpus=1)), SCENE, tuple(Column))
    for one in shown:
        assert len(one.text) < 1_000
        assert not set(one.text) & {"\x1b", "\n", "\r", "\x07", "\u202e"}


def test_the_ascii_set_keeps_to_ascii() -> None:
    scene = Scene(NOW, glyphs=ASCII)
    shown = cells(
        row(of=node(running="v1", stage=Stage.QUARANTINED), shows=telemetry(xid=79)), scene, tuple(Column)
    )
    assert all(one.text.isascii() and one.sign.isascii() for one in shown)


def test_the_state_of_a_node_in_service_says_when_it_takes_no_work_or_is_not_heard_of() -> None:
    """The word in-service alone would let a tired eye pass over a node that is closed or gone."""

    def state(**changes: Any) -> str:
        return cell(row(of=node(**changes)), Column.STAGE).text

    assert state() == "in-service"
    assert state(admission=Admission.CORDONED) == "cordoned"
    assert state(readiness=Readiness.UNKNOWN) == "not heard"
    assert state(readiness=Readiness.NOT_READY) == "NotReady"
    assert state(stage=Stage.DRAINED, admission=Admission.CORDONED) == "drained"


def test_a_node_that_is_only_last_known_says_so_and_nothing_of_it_stands_out() -> None:
    scene = replace(SCENE, last_known={"demo": NOW - timedelta(hours=2)})
    shown = row(of=node(stage=Stage.QUARANTINED), does=work("train", gpus=8))
    status = cell(shown, Column.STATUS, scene)
    assert (status.sign, status.text) == ("?", "last known 2h ago")
    assert {each.tone for each in cells(shown, scene)} == {Tone.MUTED}
    elsewhere = row(of=node(source="other", readiness=Readiness.NOT_READY))
    assert "last known" not in cell(elsewhere, Column.STATUS, scene).text


def test_what_was_wrong_with_a_last_known_node_is_told_behind_it() -> None:
    scene = replace(SCENE, last_known={"demo": NOW - timedelta(hours=2)})
    held = node(admission=Admission.CORDONED, holds=[Hold("oncall@desk", "fan swap")])
    assert (
        cell(row(of=held), Column.STATUS, scene).text
        == "last known 2h ago · cordoned by oncall@desk: fan swap"
    )
