"""What a group's row shows of its nodes."""

from __future__ import annotations

from fleet.groups import FleetGroups, GroupKey
from fleet.node import NodeKey, Readiness, Stage
from fleet.observation import NodeGone
from fleet.row import FleetRow
from fleet.telemetry import NodeTelemetry
from tests.builders import NOW, node, row, telemetry, work
from tests.widgets.fleets import TestFleet
from widgets.cells import Cell, Scene
from widgets.columns import Column
from widgets.group_cells import group_cells, group_name
from widgets.tones import Tone

SCENE = Scene(NOW)
H100 = GroupKey("h100")


def cell(column: Column, *rows: FleetRow) -> Cell:
    return group_cells(H100, FleetGroups.of(rows).totals(H100), SCENE, [column])[0]


def busy(number: int, **of: object) -> FleetRow:
    made = node(f"gpu-{number}", **of)  # type: ignore[arg-type]
    return row(of=made, does=work("train", gpus=6), shows=telemetry(util=50.0, temp=60.0 + number))


def test_sums_stand_under_the_columns_of_their_nodes() -> None:
    rows = [busy(1), busy(2), busy(3, running="v1")]
    assert cell(Column.NAME, *rows).text == "h100  3"
    assert cell(Column.STAGE, *rows).text == "3 in service"
    assert cell(Column.GPUS, *rows).text == "18 of 24"
    assert cell(Column.UTIL, *rows) == Cell("50%", Tone.PLAIN, 0.5)
    assert cell(Column.TEMP, *rows).text == "63"
    assert cell(Column.IMAGE, *rows) == Cell("1 drift", Tone.WARN)
    assert cell(Column.XID, *rows).text == ""


def test_a_group_shows_the_range_beside_the_mean_and_its_worst_margin() -> None:
    seen = NodeTelemetry(NOW, gpu_util=50, gpu_util_min=4, gpu_util_max=96, temp_margin_min=3)
    found = cell(Column.UTIL, row(shows=seen))
    assert (found.text, found.bar, found.wide) == ("50%", 0.5, "50% 4-96")
    assert cell(Column.MARGIN, row(shows=seen)) == Cell("3", Tone.WARN)
    assert cell(Column.MARGIN, row()) == Cell("?", Tone.UNKNOWN)


def test_the_gravest_trouble_is_said_beside_its_count() -> None:
    seen = NodeTelemetry(NOW, gpus_seen=8, xid=79)
    assert cell(Column.STATUS, row(shows=seen)).text == "1 faulty (xid)"


def test_the_worst_of_a_group_comes_first_and_gives_the_colour() -> None:
    rows = [busy(1, stage=Stage.QUARANTINED), busy(2, stage=Stage.DRAINED), busy(3, running="v1")]
    assert cell(Column.STATUS, *rows) == Cell("1 faulty (quarantined) · 1 closed · 1 drift", Tone.BAD)
    assert cell(Column.STATUS, busy(1)).text == "all well"
    assert cell(Column.STATUS, busy(1, readiness=Readiness.UNKNOWN)).tone is Tone.BAD


def test_a_group_without_telemetry_is_unknown_and_not_zero() -> None:
    assert cell(Column.UTIL, row()) == Cell("?", Tone.UNKNOWN)
    assert cell(Column.TEMP, row()) == Cell("?", Tone.UNKNOWN)
    assert cell(Column.GPUS, row(of=node(gpus=None))) == Cell("?", Tone.UNKNOWN)
    assert cell(Column.STATUS, row()) == Cell("1 without telemetry", Tone.UNKNOWN)


def test_large_sums_stay_in_their_column() -> None:
    rows = [busy(number) for number in range(1_300)]
    assert cell(Column.GPUS, *rows).text == "75% used"
    assert cell(Column.STAGE, *rows).text == "all in service"
    assert cell(Column.STAGE, *rows, busy(1_300, stage=Stage.DRAINED)).text == "99% in service"


def test_groups_without_a_name_have_one_for_people() -> None:
    assert group_name(GroupKey("")) == "no category"
    assert group_name(GroupKey("h100", None, 1)) == "image ?"
    assert group_name(GroupKey("h100", "reg.example/os/base:v2", 1)) == "base:v2"


def test_a_node_that_went_stays_a_line_of_unknowns_until_the_next_sort() -> None:
    fleet = TestFleet([busy(1), busy(2)])
    gone = NodeKey("demo", "gpu-1")
    fleet.store.apply(NodeGone(gone))
    line = fleet.view[fleet.view.index_of(gone) or 0]
    assert [each.text for each in fleet.lines.cells(line, (Column.NAME, Column.UTIL), SCENE)] == [
        "gpu-1",
        "?",
    ]
