"""The matrix of versions: what is expected, who is odd, what is unknown; and quick enough for 10,000 nodes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from fleet.category import Category
from fleet.drift import Aspect, DriftCell, Matrix, Versions, leading, matrix_of, values_of
from fleet.machine import Pair
from fleet.node import NodeKey, Software
from fleet.policy import Policy
from fleet.row import FleetRow, row_of
from tests.builders import node, row


def nodes(*kernels: str, category: str = "h100", **more: Any) -> list[FleetRow]:
    """One node a kernel."""
    return [
        row(
            of=replace(
                node(f"{category}-{number:03}", category=category, **more),
                software=Software("570", "12.8", kernel),
            )
        )
        for number, kernel in enumerate(kernels, 1)
    ]


def cell(of: Matrix, aspect: Aspect, category: str = "h100") -> DriftCell:
    (line,) = (line for line in of.rows if line.category == category)
    return next(cell for cell in line.cells if cell.aspect is aspect)


def test_what_most_nodes_have_is_expected_and_the_others_are_odd() -> None:
    found = cell(matrix_of(nodes("6.8", "6.8", "6.9", "6.8"), Policy()), Aspect.KERNEL)
    assert (found.expected, found.declared) == ("6.8", False)
    assert [key.name for key in found.odd] == ["h100-003"]
    assert [(share.value, len(share.nodes), share.odd) for share in found.shares] == [
        ("6.8", 3, False),
        ("6.9", 1, True),
    ]


def test_what_the_category_declares_wins_over_the_majority() -> None:
    policy = Policy(categories={"h100": Category("h100", driver="580", expected_gpus=4)})
    matrix = matrix_of(nodes("6.8", "6.8"), policy)
    driver, gpus = cell(matrix, Aspect.DRIVER), cell(matrix, Aspect.GPUS)
    assert (driver.expected, driver.declared, len(driver.odd)) == ("580", True, 2)
    assert (gpus.expected, gpus.declared, len(gpus.odd)) == ("4", True, 2)
    assert matrix.odd == 2


def test_the_image_wanted_of_the_nodes_is_what_is_declared() -> None:
    rows = [*nodes("6.8", running="v1"), *nodes("6.8", "6.8", running="v2")]
    found = cell(matrix_of(rows, Policy()), Aspect.IMAGE)
    assert (found.expected, found.declared) == ("v2", True)
    assert len(found.odd) == 1


def test_unknown_is_a_value_of_its_own_neither_expected_nor_odd() -> None:
    found = cell(matrix_of(nodes("", "", "", "6.8"), Policy()), Aspect.KERNEL)
    assert (found.expected, found.odd, len(found.unknown)) == ("6.8", (), 3)
    assert [(share.value, share.odd, share.expected) for share in found.shares] == [
        ("6.8", False, True),
        ("", False, False),
    ]


def test_where_two_values_lead_together_none_is_expected_and_both_are_odd() -> None:
    found = cell(matrix_of(nodes("6.8", "6.9"), Policy()), Aspect.KERNEL)
    assert (found.expected, len(found.odd)) == ("", 2)


@pytest.mark.parametrize(
    ("counts", "leads"),
    [
        ({}, ""),
        ({"a": 1}, "a"),
        ({"a": 2, "b": 1, "c": 1}, "a"),
        ({"a": 2, "b": 2, "c": 1}, ""),
        ({"a": 1, "b": 3}, "b"),
    ],
)
def test_a_value_leads_only_with_more_nodes_than_any_other(counts: dict[str, int], leads: str) -> None:
    assert leading(counts) == leads


def test_what_nobody_tells_is_no_column_and_is_named() -> None:
    matrix = matrix_of(nodes("6.8"), Policy())
    assert Aspect.VBIOS not in matrix.aspects
    assert {Aspect.VBIOS, Aspect.NIC, Aspect.BMC, Aspect.DCGM} <= set(matrix.unknown)
    assert matrix_of([], Policy()) == Matrix()


def test_telemetry_tells_what_no_label_does_and_a_label_that_it_contradicts_is_said_with_it() -> None:
    (only,) = nodes("6.8")
    told = values_of(only, Versions(driver="580.1", vbios="96.00.74"))
    assert "570 (its GPUs say 580.1)" in told
    assert "96.00.74" in told
    matrix = matrix_of([only], Policy(), {only.key: Versions("570", vbios="96.00.74")})
    assert cell(matrix, Aspect.DRIVER).expected == "570"
    assert Aspect.VBIOS in matrix.aspects


def test_versions_that_a_sites_labels_tell_have_their_columns() -> None:
    (only,) = nodes("6.8")
    labelled = replace(
        only.node.software, labelled=(("nic", "28.39"), ("bmc", "1.7")), runtime="containerd://2"
    )
    matrix = matrix_of([row(of=replace(only.node, software=labelled))], Policy())
    assert [cell(matrix, aspect).expected for aspect in (Aspect.NIC, Aspect.BMC, Aspect.RUNTIME)] == [
        "28.39",
        "1.7",
        "containerd://2",
    ]


def test_categories_are_compared_each_for_itself_in_the_order_of_their_names() -> None:
    matrix = matrix_of([*nodes("6.8", category="h10"), *nodes("6.9", "6.9", category="h9")], Policy())
    assert [(line.category, line.nodes) for line in matrix.rows] == [("h9", 2), ("h10", 1)]
    assert matrix.odd == 0


def test_ten_thousand_nodes_are_compared_within_a_few_frames() -> None:
    rows = [
        row(
            of=replace(
                node(f"n{number:05}", category=f"c{number % 12}"),
                software=Software("570", "12", f"6.{number % 97 // 96}"),
            )
        )
        for number in range(10_000)
    ]
    told = {each.key: Versions(vbios=f"96.{each.key.name[-2:] == '00'}") for each in rows}

    def compared() -> float:
        began = time.perf_counter()
        assert matrix_of(rows, Policy(), told).odd > 0
        return time.perf_counter() - began

    assert min(compared() for _ in range(5)) < 0.25  # 12 ms on an idle core


def test_a_node_of_two_sources_is_two_nodes() -> None:
    rows = [row(of=node("a", source="k8s")), row(of=node("a", source="slurm", running="v1"))]
    found = cell(matrix_of(rows, Policy()), Aspect.IMAGE)
    assert found.odd == (NodeKey("slurm", "a"),)


def test_a_machine_of_two_sides_is_compared_once_with_the_agents_of_both() -> None:
    one = replace(node("a", source="k8s"), software=Software(agent="v1.33"))
    other = replace(node("a", source="slurm"), software=Software(agent="24.05.4"))
    rows = [
        row_of(one, None, None, Policy(), pair=Pair(twin=other, slurm="slurm")),
        row_of(other, None, None, Policy(), pair=Pair(twin=one, shown=False, slurm="slurm")),
    ]
    matrix = matrix_of(rows, Policy())
    assert [line.nodes for line in matrix.rows] == [1]
    assert cell(matrix, Aspect.AGENT).expected == "v1.33, 24.05.4"
