"""What the node pane says, and that it says it at any width."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from textual.app import App, ComposeResult

from fleet.health import Finding, GateRecord, Verdict
from fleet.holder import Hold, HolderKind
from fleet.node import Admission, Condition, Node, Readiness, Stage
from fleet.telemetry import GpuTelemetry
from tests.builders import NOW, node, row, telemetry, work
from widgets import node_facts
from widgets.cells import Scene
from widgets.glyphs import ASCII
from widgets.gpu_cells import GpuScene
from widgets.gpu_lines import gpu_lines
from widgets.lines import LineOf, width_of_line
from widgets.node_facts import NodeView
from widgets.node_pane import NodePane
from widgets.sheet import Sheet

SCENE = Scene(NOW)
UGLY = "\x1b[31m[red]節点🧨" + "z" * 40_000


def said(lines: list[LineOf]) -> str:
    return "\n".join("".join(text for text, _ in line) for line in lines)


def broken() -> Node:
    findings = (
        Finding("ecc", Verdict.PASS, "0"),
        Finding("xid", Verdict.FAIL, "79 on GPU 3", clears="a reset"),
        Finding("links", Verdict.UNKNOWN),
    )
    held = node(
        "gpu-003",
        stage=Stage.QUARANTINED,
        holds=[
            Hold("oncall@desk", "off the bus", since=NOW - timedelta(hours=3)),
            Hold("sentinel", kind=HolderKind.CONTROLLER),
        ],
    )
    return replace(
        held,
        gate=GateRecord(Verdict.FAIL, findings, NOW - timedelta(hours=3), "oncall@desk"),
        conditions=(
            Condition("Ready", "True", False),
            Condition("GpuFatal", "True", True, "XID79", "fell off"),
        ),
    )


def view(of: Node | None = None, gpus: list[GpuTelemetry] | None = None) -> NodeView:
    return NodeView(row(of=of or broken(), does=work("train", gpus=8), shows=telemetry(xid=79)), SCENE, gpus)


def test_each_concern_says_what_would_clear_it() -> None:
    text = said(node_facts.wrong(view()))
    assert "quarantined" in text
    assert "clears: restart the machine, then gate" in text


def test_every_holder_is_named_with_the_reason_or_its_lack() -> None:
    text = said(node_facts.holds(view()))
    assert "oncall@desk  since 3h" in text
    assert "off the bus" in text
    assert "sentinel  since ?" in text
    assert "no reason given" in text


def test_a_node_that_its_gate_closed_is_not_said_to_be_closed_by_nobody() -> None:
    closed = replace(broken(), holds=(), admission=Admission.CORDONED)
    assert said(node_facts.holds(view(closed))) == "closed by the gate: xid (oncall@desk, 3h ago)"
    assert said(node_facts.holds(view(replace(closed, gate=None)))) == "closed, and nobody said who or why"


def test_failed_findings_come_first_and_unknown_ones_are_not_passed() -> None:
    lines = said(node_facts.gate(view())).splitlines()
    assert lines[0].startswith("✗ FAIL  3h ago  by oncall@desk")
    assert [line.split()[1] for line in lines[1:] if line.split()[0] in "✗?✓"] == ["xid", "links", "ecc"]


def test_what_a_failed_check_printed_last_stands_under_what_would_clear_it() -> None:
    findings = (
        Finding("dcgm-diag", Verdict.FAIL, "memory: Fail", clears="a reset", tail=("GPU 3: differs", "done")),
        Finding("nccl-allreduce", Verdict.PASS, "478 GB/s", tail=("# Avg bus bandwidth : 478",)),
    )
    record = GateRecord(Verdict.FAIL, findings, NOW)
    lines = said(node_facts.gate(view(replace(broken(), gate=record)))).splitlines()
    assert lines[1:] == [
        "  ✗ dcgm-diag  memory: Fail",
        "    clears: a reset",
        "    · GPU 3: differs",
        "    · done",
        "  ✓ nccl-allreduce  478 GB/s",
    ]


def test_a_node_that_was_never_gated_says_so() -> None:
    assert "never gated" in said(node_facts.gate(view(node())))


def test_gpus_that_do_not_report_are_counted_and_their_values_unknown() -> None:
    text = said(
        node_facts.gpus(view(gpus=[GpuTelemetry("0", util=97.0, temp=60, xid=0), GpuTelemetry("1")]), 100)
    )
    assert "97%" in text
    assert "6 GPUs of 8 silent" in text
    assert text.splitlines()[2].split() == ["1", *"???"]
    assert said(node_facts.gpus(view(gpus=None), 100)) == "not read yet"


def test_a_mig_instance_is_named_and_a_failed_remap_shouts() -> None:
    gpu = GpuTelemetry("0", instance="7", profile="1g.10gb", row_remap_failure=True, xid=63)
    text = said(gpu_lines([gpu], GpuScene(SCENE.policy, ASCII), 100))
    assert ".7 1g.10gb" in text
    assert "FAILED" in text
    assert text.isascii() or "°" in text.splitlines()[0]


@pytest.mark.parametrize("width", [30, 58, 80, 120])
def test_gpu_lines_fit_their_width(width: int) -> None:
    gpus = [GpuTelemetry("0", util=float("nan"), held_by=UGLY), GpuTelemetry(UGLY)]
    assert all(
        width_of_line(line) <= width for line in gpu_lines(gpus, GpuScene(SCENE.policy, SCENE.glyphs), width)
    )


class PaneApp(App[None]):
    def compose(self) -> ComposeResult:
        yield NodePane()


def painted(app: App[None]) -> str:
    return "\n".join(sheet.render().plain for sheet in app.query(Sheet))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50), (24, 8)])
async def test_the_pane_holds_any_text_at_any_size(size: tuple[int, int]) -> None:
    app = PaneApp()
    ugly = replace(
        broken(),
        holds=(Hold(UGLY, UGLY),),
        conditions=(Condition(UGLY, UGLY, True, UGLY, UGLY),),
        category=UGLY,
        upgrade=UGLY,
    )
    async with app.run_test(size=size) as pilot:
        pane = app.query_one(NodePane)
        pane.show(view(ugly, [GpuTelemetry("0", held_by=UGLY)]))
        await pilot.pause()
        text = painted(app)
        assert "\x1b" not in text
        assert "[red]" in text
        assert pane.has_class("narrow") == (size[0] < 110)
        pane.show(None)
        await pilot.pause()
        assert painted(app).strip() == ""


async def test_the_same_view_again_lays_nothing_out_anew() -> None:
    app = PaneApp()
    async with app.run_test(size=(120, 40)) as pilot:
        pane = app.query_one(NodePane)
        pane.show(view())
        await pilot.pause()
        before = [sheet.render() for sheet in app.query(Sheet)]
        pane.show(view())
        assert all(old is sheet.render() for old, sheet in zip(before, app.query(Sheet), strict=True))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (replace(node("gpu-004"), readiness=Readiness.UNKNOWN), "not heard  in-service"),
        (replace(node("gpu-004"), admission=Admission.CORDONED), "cordoned  in-service"),
        (node("gpu-004"), "in-service  open"),
    ],
)
def test_the_head_says_what_is_wrong_once_and_the_stage_beside_it(wrong: Node, says: str) -> None:
    assert says in said(node_facts.head(view(wrong)))


async def test_a_pane_that_opens_narrow_has_one_column_though_somebody_asked_where_it_is_meanwhile() -> None:
    class Beside(App[None]):
        def compose(self) -> ComposeResult:
            yield NodePane()

        def on_mount(self) -> None:
            self.query_one(NodePane).display = False

    async with Beside().run_test(size=(60, 30)) as pilot:
        pane = pilot.app.query_one(NodePane)
        pane.display = True
        pane.show(view())
        # Textual's map is made before the layout makes it, which then finds nothing that was resized.
        pilot.app.screen._compositor.update_widgets({pane})
        assert pane.region.width == 60
        await pilot.pause()
        assert pane.has_class("narrow")
