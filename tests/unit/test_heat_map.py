"""Where nodes are drawn on the heat map: by rack where it is known, every one of them once, at every zoom."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from fleet import heat_map
from fleet.heat_map import RUN, Block, By, Spot, Zoom
from fleet.node import NodeKey, Topology
from fleet.policy import Policy
from fleet.row import FleetRow, row_of
from tests.builders import node


def at(name: str, rack: str = "", zone: str = "", switch: str = "", category: str = "h100") -> FleetRow:
    made = replace(node(name), topology=Topology(zone=zone, rack=rack, switch=switch), category=category)
    return row_of(made, None, None, Policy())


def names(blocks: tuple[Block, ...]) -> list[tuple[str, list[str]]]:
    return [(block.name, [key.name for key in block.nodes]) for block in blocks]


def test_racks_come_in_their_order_and_nodes_in_theirs() -> None:
    rows = [at("gpu-10", "r10"), at("gpu-2", "r2"), at("gpu-9", "r10")]
    assert names(heat_map.arrange(rows, By.RACK)) == [("r2", ["gpu-2"]), ("r10", ["gpu-9", "gpu-10"])]


def test_racks_of_one_name_in_two_zones_are_two() -> None:
    rows = [at("gpu-1", "r1", "a"), at("gpu-2", "r1", "b"), at("gpu-3", "r2", "b")]
    assert names(heat_map.arrange(rows, By.RACK)) == [
        ("a/r1", ["gpu-1"]),
        ("b/r1", ["gpu-2"]),
        ("r2", ["gpu-3"]),
    ]


def test_nodes_of_no_known_rack_come_last_by_category_and_are_not_called_placed() -> None:
    rows = [at("gpu-1"), at("gpu-2", "r1"), at("gpu-3", category="a100")]
    blocks = heat_map.arrange(rows, By.RACK)
    assert names(blocks) == [("r1", ["gpu-2"]), ("a100", ["gpu-3"]), ("h100", ["gpu-1"])]
    assert [block.placed for block in blocks] == [True, False, False]


def test_a_large_block_is_cut_in_runs_so_that_its_cells_fit_a_line() -> None:
    blocks = heat_map.arrange([at(f"gpu-{number:03}") for number in range(70)], By.CATEGORY)
    assert [(block.name, len(block.nodes)) for block in blocks] == [
        ("h100 1-32", RUN),
        ("h100 33-64", RUN),
        ("h100 65-70", 6),
    ]


def test_only_what_some_node_names_can_be_arranged_by() -> None:
    assert heat_map.choices([at("gpu-1")]) == (By.CATEGORY,)
    assert heat_map.choices([at("gpu-1"), at("gpu-2", "r1", switch="leaf-1")]) == (
        By.RACK,
        By.SWITCH,
        By.CATEGORY,
    )


@pytest.mark.parametrize("zoom", Zoom)
@pytest.mark.parametrize("width", [10, 80, 200])
def test_every_cell_is_drawn_once_and_within_the_width_where_a_tile_fits(zoom: Zoom, width: int) -> None:
    rows = [at(f"gpu-{number:03}", f"r{number // 8}") for number in range(100)]
    blocks = heat_map.arrange(rows, By.RACK)
    layout = heat_map.lay_out(blocks, zoom, width, lambda node: 4)
    spots = Counter(spot for line in layout.lines for tile in line for spot in tile.spots)
    assert set(spots.values()) == {1}
    assert len(spots) == {Zoom.BLOCKS: 13, Zoom.NODES: 100, Zoom.GPUS: 400}[zoom]
    for line in layout.lines:
        ends = [layout.column(tile, len(tile.spots)) for tile in line if tile.spots]
        starts = [tile.x for tile in line]
        assert all(end < start for end, start in zip(ends, starts[1:], strict=False))
        assert len(line) == 1 or ends[-1] <= width


def test_each_block_of_gpus_has_its_heading() -> None:
    rows = [at("gpu-1", "r1"), at("gpu-2", "r2")]
    layout = heat_map.lay_out(heat_map.arrange(rows, By.RACK), Zoom.GPUS, 80, lambda node: 8)
    assert [line[0].label for line in layout.lines] == ["r1", "gpu-1", "r2", "gpu-2"]
    assert [bool(line[0].spots) for line in layout.lines] == [False, True, False, True]
    assert layout.first == (1, 0, 0)
    assert layout.last == (3, 0, 7)


def test_a_spot_is_found_again_and_the_nearest_of_another_line_is_below_it() -> None:
    rows = [at(f"gpu-{number}", f"r{number // 4}") for number in range(8)]
    layout = heat_map.lay_out(heat_map.arrange(rows, By.RACK), Zoom.NODES, 10, lambda node: 8)
    third = Spot(0, NodeKey(rows[0].key.source, "gpu-2"))
    assert layout.place(third) == (0, 0, 2)
    assert layout.nearest(1, layout.column(layout.lines[0][0], 2)) == Spot(
        1, NodeKey(rows[0].key.source, "gpu-6")
    )
    assert layout.nearest(9, 0) is None


def test_nothing_is_laid_out_of_nothing() -> None:
    layout = heat_map.lay_out((), Zoom.NODES, 80, lambda node: 8)
    assert layout.lines == ()
    assert layout.first == layout.last == (0, 0, 0)
    assert layout.nearest(0, 0) is None
