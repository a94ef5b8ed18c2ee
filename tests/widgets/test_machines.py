"""How a machine of two sources is shown: one row and one pane, with both truths in it."""

from __future__ import annotations

from dataclasses import replace

from fleet.holder import Hold, HolderKind
from fleet.machine import JoinBy, JoinRule
from fleet.node import Admission, Condition, Node, NodeKey, Readiness
from fleet.observation import NodeSeen
from fleet.policy import Policy
from fleet.row import FleetRow
from fleet.store import FleetStore
from tests.builders import NOW, node
from widgets.cells import Scene, cells
from widgets.columns import Column
from widgets.lines import LineOf
from widgets.node_facts import NodeView, head, holds, wrong

SCENE = Scene(NOW)
ROOT = Hold("root", "dust [red]", HolderKind.UNNAMED)
OURS = Hold("oncall@desk", "maintenance", verb="drain", operation="op-1")


def machine(kubernetes: Node | None = None, slurm: Node | None = None) -> FleetRow:
    store = FleetStore(Policy(joins=(JoinRule("prod", "lab"),)))
    store.apply(NodeSeen(kubernetes or node("gpu1", source="prod")))
    store.apply(NodeSeen(slurm or node("gpu1", source="lab", category="train")))
    row = store.record(NodeKey("prod", "gpu1"))
    assert row is not None
    return row


def drained(*held: Hold, **changes: object) -> Node:
    made = node("gpu1", source="lab", admission=Admission.CORDONED, holds=held)
    return replace(made, conditions=(Condition("State", "IDLE+DRAIN", None),), **changes)  # type: ignore[arg-type]


def shown(row: FleetRow, column: Column) -> str:
    (cell,) = cells(row, SCENE, (column,))
    return cell.text


def text(lines: list[LineOf]) -> list[str]:
    return ["".join(piece[0] for piece in line) for line in lines]


def test_the_source_column_names_both() -> None:
    assert shown(machine(), Column.SOURCE) == "prod+lab"
    assert shown(_alone(), Column.SOURCE) == "demo"


def test_a_machine_that_one_side_closed_is_half_closed_and_its_status_says_which_and_by_whom() -> None:
    row = machine(slurm=drained(ROOT))
    assert shown(row, Column.STAGE) == "half closed"
    assert shown(row, Column.STATUS).startswith("Slurm: IDLE+DRAIN by root: dust [red]")
    row = machine(node("gpu1", source="prod", admission=Admission.CORDONED, holds=[OURS]))
    assert shown(row, Column.STATUS).startswith("Kubernetes: cordoned by oncall@desk: maintenance")


def test_both_truths_are_what_is_wrong_with_it_in_its_pane() -> None:
    (first, *_) = text(wrong(NodeView(machine(slurm=drained(ROOT)), SCENE)))
    assert first.endswith("Slurm lab: IDLE+DRAIN by root: dust [red]; Kubernetes prod: open")


def test_who_holds_either_side_holds_the_machine_and_a_hold_on_both_counts_once() -> None:
    assert shown(machine(slurm=drained(ROOT)), Column.HOLDER) == "root: dust [red]"
    both = machine(node("gpu1", source="prod", admission=Admission.CORDONED, holds=[OURS]), drained(OURS))
    assert shown(both, Column.HOLDER) == "oncall@desk: maintenance"
    more = machine(
        node("gpu1", source="prod", admission=Admission.CORDONED, holds=[OURS]), drained(OURS, ROOT)
    )
    assert shown(more, Column.HOLDER).startswith("oncall@desk +1")


def test_the_pane_tells_each_side_slurm_first() -> None:
    row = machine(slurm=drained(ROOT, readiness=Readiness.UNKNOWN))
    told = text(head(NodeView(row, SCENE)))
    assert told[1:] == [
        "Slurm lab  gpu1  IDLE+DRAIN by root: dust [red], unknown",
        "Kubernetes prod  gpu1  open",
    ]


def test_the_pane_says_at_which_source_each_hold_is() -> None:
    row = machine(node("gpu1", source="prod", admission=Admission.CORDONED, holds=[OURS]), drained(ROOT))
    told = text(holds(NodeView(row, SCENE)))
    assert [line for line in told if "  in " in line] == [
        "oncall@desk  since ?  drain · op-1  in prod",
        "root  since ?  in lab",
    ]


def test_nodes_that_claim_one_machine_are_named_in_each_ones_pane() -> None:
    rule = JoinRule("prod", "lab", JoinBy.PATTERN, pattern="gpu.*", template="gpu1")
    store = FleetStore(Policy(joins=(rule,)))
    for source, name in (("prod", "gpu1"), ("prod", "gpu2"), ("lab", "gpu1")):
        store.apply(NodeSeen(node(name, source=source)))
    row = store.record(NodeKey("prod", "gpu1"))
    assert row is not None
    assert text(head(NodeView(row, SCENE)))[1] == "may be one machine with lab/gpu1, prod/gpu2"


def _alone() -> FleetRow:
    store = FleetStore()
    store.apply(NodeSeen(node()))
    (row,) = store.rows()
    return row
