"""The fleet table's lines: their order, what moves them, and what is only painted anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.groups import FleetGroups, GroupKey
from fleet.holder import Hold
from fleet.node import Admission, Image, Node, NodeKey, Readiness, Stage
from fleet.observation import NodeGone, NodeSeen, Observation, TelemetrySeen
from fleet.selection import parse
from fleet.sorting import BY_NAME, WORST_FIRST, Column, Sort
from fleet.store import FleetStore
from fleet.telemetry import NodeTelemetry
from fleet.view import FleetView, LineKind
from tests.unit.fleet_strategies import START, histories

H100, A100 = GroupKey("h100"), GroupKey("a100")
V1, V2 = GroupKey("h100", "v1", 1), GroupKey("h100", "v2", 1)


def key(name: str) -> NodeKey:
    return NodeKey("prod", name)


def node(name: str, category: str = "h100", image: str | None = "v1") -> Node:
    return Node(key(name), category=category, image=Image(image), readiness=Readiness.READY)


def fleet(*nodes: Node) -> FleetStore:
    store = FleetStore()
    store.apply_all([NodeSeen(node) for node in nodes])
    return store


def warm(store: FleetStore, name: str, degrees: float | None) -> None:
    store.apply(TelemetrySeen(key(name), NodeTelemetry(START, gpu_temp_max=degrees)))


def shown(view: FleetView) -> list[str]:
    """The lines as text, indented by their depth."""
    return ["  " * line.depth + label(line.key) for line in view.window(0, len(view))]


def label(line: NodeKey | GroupKey) -> str:
    if isinstance(line, NodeKey):
        return line.name
    return (line.image or "?") if line.depth else line.category or "-"


def test_the_fleet_is_shown_by_category_then_image_then_name_as_people_count() -> None:
    store = fleet(
        node("gpu-10"),
        node("gpu-2"),
        node("gpu-1", image="v10"),
        node("x", ""),
        node("gpu-3", image=None),
        node("a", "a100"),
    )
    view = FleetView(store, START)
    assert shown(view) == [
        "a100", "  v1", "    a",
        "h100", "  v1", "    gpu-2", "    gpu-10", "  v10", "    gpu-1", "  ?", "    gpu-3",
        "-", "  v1", "    x",
    ]  # fmt: skip
    assert [line.kind for line in view.window(0, 3)] == [LineKind.CATEGORY, LineKind.IMAGE, LineKind.NODE]


def test_a_line_is_found_by_its_key() -> None:
    view = FleetView(fleet(node("gpu-1"), node("gpu-2")), START)
    assert [view.index_of(at) for at in (H100, V1, key("gpu-2"), key("nowhere"))] == [0, 1, 3, None]
    assert view[3].group == V1


def test_folding_hides_what_is_within() -> None:
    view = FleetView(fleet(node("gpu-1"), node("gpu-2", image="v2"), node("a", "a100")), START)
    view.fold([H100])
    assert shown(view) == ["a100", "  v1", "    a", "h100"]
    assert view[3].folded
    assert view.nodes_of(H100) == [key("gpu-1"), key("gpu-2")]
    assert view.reveal(key("gpu-2")) == 7
    view.fold_all(1)
    assert shown(view) == ["a100", "  v1", "h100", "  v1", "  v2"]
    view.fold_all(0)
    assert shown(view) == ["a100", "h100"]


def names(view: FleetView) -> list[str]:
    return [key.name for key in view.nodes()]


@pytest.mark.parametrize("descending", [False, True])
def test_what_is_unknown_comes_last_in_either_direction(descending: bool) -> None:
    store = fleet(*(node(f"gpu-{number}") for number in range(1, 6)))
    for name, degrees in (("gpu-1", 50.0), ("gpu-2", float("nan")), ("gpu-3", 90.0), ("gpu-5", 50.0)):
        warm(store, name, degrees)
    view = FleetView(store, START, sort=Sort(Column.GPU_TEMP, descending))
    known = ["gpu-3", "gpu-1", "gpu-5"] if descending else ["gpu-1", "gpu-5", "gpu-3"]
    assert names(view) == [*known, "gpu-2", "gpu-4"]


@pytest.mark.parametrize("column", list(Column))
def test_every_column_sorts_a_fleet_with_nothing_known(column: Column) -> None:
    view = FleetView(fleet(node("gpu-2", image=None), node("gpu-1", image=None)), START, sort=Sort(column))
    assert names(view) == ["gpu-1", "gpu-2"]


def test_worst_first_puts_the_group_with_the_worst_node_on_top() -> None:
    store = fleet(node("a", "a100"), node("gpu-1"), node("gpu-2", image="v2"), node("gpu-3", image="v2"))
    store.apply(NodeSeen(replace(node("gpu-3", image="v2"), readiness=Readiness.NOT_READY)))
    view = FleetView(store, START, sort=WORST_FIRST)
    assert shown(view) == [
        "h100", "  v2", "    gpu-3", "    gpu-2", "  v1", "    gpu-1",
        "a100", "  v1", "    a",
    ]  # fmt: skip


def test_worst_first_knows_a_drain_that_is_past_its_deadline() -> None:
    held = Hold("oncall@desk", since=START)
    late = replace(node("gpu-2"), stage=Stage.DRAINING, holds=(held,))
    store = fleet(replace(node("gpu-1"), admission=Admission.CORDONED), late)
    view = FleetView(store, START, sort=Sort.by(Column.HEALTH))
    assert names(view) == ["gpu-1", "gpu-2"]
    view.arrange(START + timedelta(hours=2))
    assert names(view) == ["gpu-2", "gpu-1"]


def test_a_change_that_moves_nothing_is_only_painted() -> None:
    store = fleet(node("gpu-1"), node("gpu-2"))
    view, before = FleetView(store, START), store.revision
    warm(store, "gpu-2", 80.0)
    changes = view.refresh(store.changes_since(before), START, resort=True)
    assert (changes.moved, changes.behind) == (False, False)
    assert changes.dirty == {key("gpu-2"), V1, H100}


def test_lines_stay_until_a_resort_is_asked_for() -> None:
    store = fleet(node("gpu-1"), node("gpu-2"))
    warm(store, "gpu-1", 60.0)
    warm(store, "gpu-2", 50.0)
    view, before = FleetView(store, START, sort=Sort.by(Column.GPU_TEMP)), store.revision
    warm(store, "gpu-2", 70.0)
    changes = view.refresh(store.changes_since(before), START, resort=False)
    assert (changes.moved, changes.behind, names(view)) == (False, True, ["gpu-1", "gpu-2"])
    changes = view.refresh(store.changes_since(store.revision), START, resort=True)
    assert (changes.moved, changes.behind, names(view)) == (True, False, ["gpu-2", "gpu-1"])


def test_a_new_value_that_keeps_the_order_leaves_nothing_behind() -> None:
    store = fleet(node("gpu-1"), node("gpu-2"))
    warm(store, "gpu-1", 60.0)
    warm(store, "gpu-2", 50.0)
    view, before = FleetView(store, START, sort=Sort.by(Column.GPU_TEMP)), store.revision
    warm(store, "gpu-2", 59.0)
    assert not view.refresh(store.changes_since(before), START, resort=False).behind


def test_a_node_that_is_gone_keeps_its_line_until_the_resort() -> None:
    store = fleet(node("gpu-1"), node("gpu-2"))
    view, before = FleetView(store, START), store.revision
    store.apply(NodeGone(key("gpu-1")))
    changes = view.refresh(store.changes_since(before), START, resort=False)
    assert changes.behind
    assert key("gpu-1") in changes.dirty
    assert view[2].key == key("gpu-1")
    view.refresh(store.changes_since(store.revision), START, resort=True)
    assert shown(view) == ["h100", "  v1", "    gpu-2"]


def test_group_rows_count_what_the_filter_lets_through() -> None:
    store = fleet(node("gpu-1"), node("gpu-2"), node("gpu-3", image="v2"))
    warm(store, "gpu-1", 90.0)
    view, before = FleetView(store, START, selection=parse("gpu_temp>85")), store.revision
    assert shown(view) == ["h100", "  v1", "    gpu-1"]
    assert (view.totals(V1).nodes, view.matching.nodes, store.groups.totals(V1).nodes) == (1, 1, 2)
    warm(store, "gpu-2", 95.0)
    changes = view.refresh(store.changes_since(before), START, resort=False)
    assert (view.totals(H100).nodes, view.totals(H100).hottest, changes.behind) == (2, 95, True)


def test_an_empty_fleet_has_no_lines() -> None:
    view = FleetView(FleetStore(), START)
    assert (len(view), view.window(0, 10), view.nodes()) == (0, [], [])


orders = st.builds(Sort, st.sampled_from(list(Column)), st.booleans())
filters = st.sampled_from(
    ["", "category=h100", "gpu_temp>50", "!stage=quarantined", "gpu", "drift=yes image=v1"]
)
foldings = st.frozensets(st.sampled_from([H100, A100, V1, V2]))


@given(histories, histories, orders, filters, foldings, st.booleans())
def test_a_view_kept_up_to_date_is_the_view_built_anew(
    first: list[Observation],
    then: list[Observation],
    sort: Sort,
    text: str,
    folded: frozenset[GroupKey],
    unfold: bool,
) -> None:
    store, selection = FleetStore(), parse(text)
    store.apply_all(first)
    view = FleetView(store, START, sort=sort, selection=selection)
    view.fold(folded)
    at = store.revision
    for place, observation in enumerate(then):
        store.apply(observation)
        before = view.window(0, len(view))
        changes = store.changes_since(at)
        found = view.refresh(changes, START, resort=place % 4 == 3)
        at = changes.revision
        if not found.moved:
            assert [line.key for line in before] == [line.key for line in view.window(0, len(view))]
            visible = {line.key for line in before}
            assert (changes.keys | changes.removed) & visible <= found.dirty
        if not found.behind:
            assert_same(view, built_anew(store, view, folded))
        assert view.matching == FleetGroups.of(row for row in store.rows() if selection.matches(row)).fleet
    if unfold:
        view.unfold(folded)
        folded = frozenset()
    view.arrange(START)
    assert_same(view, built_anew(store, view, folded))


def built_anew(store: FleetStore, like: FleetView, folded: frozenset[GroupKey]) -> FleetView:
    view = FleetView(store, START, sort=like.sort, selection=like.selection)
    view.fold(folded)
    return view


def assert_same(view: FleetView, expected: FleetView) -> None:
    assert shown(view) == shown(expected)
    for place, line in enumerate(view.window(0, len(view))):
        assert view.index_of(line.key) == place
        if isinstance(line.key, GroupKey):
            assert view.totals(line.key) == expected.totals(line.key)


@given(histories, filters)
def test_the_lines_are_the_nodes_that_match_each_once(history: list[Observation], text: str) -> None:
    store = FleetStore()
    store.apply_all(history)
    selection = parse(text)
    view = FleetView(store, START, sort=BY_NAME, selection=selection)
    found = view.nodes()
    assert sorted(found) == sorted(row.key for row in store.rows() if selection.matches(row))
