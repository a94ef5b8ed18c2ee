"""The heat map's cells in a bare app: the cursor's ways, and how much is drawn and painted."""

from __future__ import annotations

from textual.app import App, ComposeResult

from fleet import heat_map
from fleet.heat import SCALES, Heat, Measure
from fleet.heat_map import Block, Layout, Spot, Zoom
from fleet.node import NodeKey
from widgets.glyphs import ASCII, UNICODE
from widgets.heat_grid import HeatGrid, HeatScene


class Bare(App[None]):
    """A grid over blocks whose heats are a table."""

    def __init__(self, blocks: tuple[Block, ...], zoom: Zoom) -> None:
        super().__init__()
        self.blocks, self.zoom = blocks, zoom
        self.heats: dict[Spot, Heat] = {}
        self.asked = 0
        self.pointed: list[Spot | None] = []

    def lay_out(self, width: int) -> Layout:
        return heat_map.lay_out(self.blocks, self.zoom, width, lambda node: 4)

    def scene(self, measure: Measure = Measure.UTIL, *, ascii_only: bool = False) -> HeatScene:
        return HeatScene(SCALES[measure], self.heat, ASCII if ascii_only else UNICODE)

    def heat(self, spot: Spot) -> Heat:
        self.asked += 1
        return self.heats.get(spot)

    def compose(self) -> ComposeResult:
        yield HeatGrid(self.lay_out, self.scene(), id="grid")

    def on_mount(self) -> None:
        self.query_one(HeatGrid).focus()

    def on_heat_grid_pointed(self, message: HeatGrid.Pointed) -> None:
        self.pointed.append(message.spot)

    def lines(self) -> list[str]:
        grid = self.query_one(HeatGrid)
        return [strip.text.rstrip() for strip in grid.render_lines(grid.size.region)]


def rack(name: str, *nodes: str) -> Block:
    return Block(name, tuple(NodeKey("lab", node) for node in nodes))


RACKS = (rack("r1", "a", "b", "c"), rack("r2", "d", "e"), rack("[b]r3[/b]\x1b[31m", "f"))


async def test_each_node_is_one_sign_after_its_rack_and_the_unknown_has_its_own() -> None:
    app = Bare(RACKS, Zoom.NODES)
    async with app.run_test(size=(20, 8)) as pilot:
        app.heats = {Spot(0, NodeKey("lab", "a")): 99.0, Spot(0, NodeKey("lab", "b")): 1.0}
        app.query_one(HeatGrid).show(app.scene())
        await pilot.pause()
        assert app.lines()[:3] == [" r1        █·?", " r2        ??", " [b]r3[/b] ?"]
        app.query_one(HeatGrid).show(app.scene(ascii_only=True))
        assert app.lines()[0] == " r1        @.?"


async def test_errors_have_the_signs_that_they_have_everywhere() -> None:
    app = Bare(RACKS, Zoom.NODES)
    async with app.run_test(size=(20, 8)):
        app.heats = {
            Spot(0, NodeKey("lab", "a")): 0.0,
            Spot(0, NodeKey("lab", "b")): 1.0,
            Spot(0, NodeKey("lab", "c")): 2.0,
        }
        app.query_one(HeatGrid).show(app.scene(Measure.ERRORS))
        assert app.lines()[0] == " r1        ·▲✗"


async def test_the_cursor_goes_through_every_cell_and_over_headings() -> None:
    app = Bare(RACKS[:2], Zoom.GPUS)
    async with app.run_test(size=(12, 10)) as pilot:
        grid = app.query_one(HeatGrid)
        seen = [grid.spot]
        for _ in range(4 * 5 - 1):
            await pilot.press("right")
            seen.append(grid.spot)
        every = [
            Spot(b, node, gpu)
            for b, block in enumerate(RACKS[:2])
            for node in block.nodes
            for gpu in range(4)
        ]
        assert seen == every
        await pilot.press("right")
        assert grid.spot == every[-1]
        for _ in range(4 * 5 - 1):
            await pilot.press("left")
        assert grid.spot == every[0]
        await pilot.press("up")
        assert grid.spot == every[0]
        await pilot.press("right", "down", "down", "down")
        assert grid.spot == Spot(1, NodeKey("lab", "d"), 1)
        await pilot.press("end")
        assert grid.spot == every[-1]
        await pilot.press("home")
        assert grid.spot == every[0]


async def test_only_the_cells_on_screen_are_asked_for() -> None:
    racks = tuple(rack(f"r{number}", *(f"n{number}-{turn}" for turn in range(16))) for number in range(600))
    app = Bare(racks, Zoom.NODES)
    async with app.run_test(size=(80, 20)) as pilot:
        app.asked = 0
        app.query_one(HeatGrid).show(app.scene())
        await pilot.pause()
        assert 0 < app.asked <= 20 * 3 * 16
        await pilot.press("end")
        assert app.query_one(HeatGrid).spot == Spot(599, NodeKey("lab", "n599-15"))
        assert app.lines()[-1].startswith(" r597")


async def test_an_equal_heat_paints_nothing_and_another_paints_its_line() -> None:
    app = Bare(RACKS, Zoom.NODES)
    async with app.run_test(size=(20, 8)) as pilot:
        grid = app.query_one(HeatGrid)
        await pilot.pause()
        before = grid._painted
        grid.show(app.scene())
        assert all(one is other for one, other in zip(before, grid._painted, strict=True))
        app.heats = {Spot(1, NodeKey("lab", "d")): 50.0}
        grid.show(app.scene())
        changed = [
            y for y, (one, other) in enumerate(zip(before, grid._painted, strict=True)) if one is not other
        ]
        assert changed == [1]


async def test_a_click_points_at_the_cell_and_a_grid_of_nothing_has_no_cursor() -> None:
    app = Bare(RACKS, Zoom.NODES)
    async with app.run_test(size=(20, 8)) as pilot:
        await pilot.click(HeatGrid, offset=(12, 1))
        assert app.pointed[-1] == Spot(1, NodeKey("lab", "e"))
        app.blocks = ()
        app.query_one(HeatGrid).put(app.scene(), None)
        await pilot.press("right", "down", "end", "pagedown")
        assert app.query_one(HeatGrid).spot is None
