"""The plan as it is shown before it runs, and what its confirmation asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Input

from fleet.node import NodeKey
from fleet.plan import Blocker, BlockerKind, DrainOptions, Plan, Radius, Verb
from fleet.workload import WorkloadId
from tests.builders import plan
from widgets import plan_lines
from widgets.glyphs import UNICODE
from widgets.lines import LineOf
from widgets.plan_view import PlanView
from widgets.sheet import Sheet

UGLY = "\x1b[31m[red]節点🧨" + "z" * 40_000


def said(lines: list[LineOf]) -> str:
    return "\n".join("".join(text for text, _ in line) for line in lines)


def key(name: str) -> NodeKey:
    return NodeKey("demo", name)


def test_the_same_blocker_on_many_nodes_is_said_once() -> None:
    names = [f"gpu-{number}" for number in range(5)]
    stops = [Blocker(key(name), "has no imager", "give its category one") for name in names]
    text = said(plan_lines.blockers(plan(Verb.REIMAGE, names, blockers=stops), UNICODE))
    assert text.count("has no imager") == 1
    assert "gpu-0, gpu-1, gpu-2 and 2 more" in text
    assert "→ give its category one" in text


def test_the_cost_names_work_lost_jobs_budgets_and_what_is_left() -> None:
    radius = Radius(
        1,
        (WorkloadId("ml", "Job", "train"),),
        ("ml/train",),
        3,
        8,
        ("budget web-pdb (team web)",),
        (392, 400),
    )
    text = said(plan_lines.cost(plan(radius=radius), UNICODE))
    assert "3 pods of 1 workload move, 8 GPUs" in text
    assert "1 job lost for good: ml/train" in text
    assert "waits for budget web-pdb (team web)" in text
    assert "392 of 400 usable now" in text


def test_unknown_capacity_is_said_to_be_unknown() -> None:
    assert "GPUs usable after it: ?" in said(plan_lines.cost(plan(), UNICODE))


def test_steps_are_numbered_and_nodes_alike_are_said_once() -> None:
    text = said(plan_lines.steps(plan(names=["gpu-1", "gpu-2", "gpu-3"])))
    assert " 1. close admission" in text
    assert "the same on 2 other nodes" in text


class PlanApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.confirmed: list[PlanView.Confirmed] = []
        self.options: list[DrainOptions] = []

    def compose(self) -> ComposeResult:
        yield PlanView()

    def on_plan_view_confirmed(self, message: PlanView.Confirmed) -> None:
        self.confirmed.append(message)

    def on_plan_view_options_changed(self, message: PlanView.OptionsChanged) -> None:
        self.options.append(message.options)


@asynccontextmanager
async def shown(
    of: Plan, size: tuple[int, int] = (80, 24), hidden: tuple[NodeKey, ...] = ()
) -> AsyncIterator[tuple[PlanView, Pilot[None], PlanApp]]:
    app = PlanApp()
    async with app.run_test(size=size) as pilot:
        at = app.query_one(PlanView)
        at.show(of, hidden=hidden)
        await pilot.pause()
        yield at, pilot, app


def text_of(app: App[None]) -> str:
    return "\n".join(sheet.render().plain for sheet in app.query(Sheet))


async def test_a_reversible_plan_runs_with_a_reason_and_enter() -> None:
    async with shown(plan(Verb.CORDON)) as (at, pilot, app):
        assert at.lacks == "a reason is missing"
        at.query_one("#reason", Input).focus()
        await pilot.press(*"fans", "enter")
        assert [message.reason for message in app.confirmed] == ["fans"]


async def test_a_dangerous_plan_wants_the_name_typed_exactly() -> None:
    async with shown(plan(Verb.RETIRE, reason="worn out")) as (at, pilot, app):
        at.query_one("#typed", Input).focus()
        await pilot.press(*"gpu-00", "enter")
        assert app.confirmed == []
        await pilot.press("1", "enter")
        assert len(app.confirmed) == 1


async def test_many_nodes_want_their_number_typed_and_hidden_ones_are_told() -> None:
    names = [f"gpu-{number}" for number in range(11)]
    async with shown(plan(Verb.CORDON, names, reason="r"), hidden=(key("gpu-3"),)) as (at, pilot, app):
        assert "1 of these nodes is hidden by the filter" in text_of(app)
        at.query_one("#typed", Input).focus()
        await pilot.press("1", "1", "enter")
        assert len(app.confirmed) == 1


async def test_a_blocked_plan_can_not_be_confirmed_and_says_how_to_go_on() -> None:
    stop = Blocker(key("gpu-001"), "keeps data", "allow emptyDir to be deleted", BlockerKind.OPTION)
    async with shown(plan(blockers=[stop], reason="r")) as (at, _, app):
        at.action_confirm()
        assert app.confirmed == []
        assert at.lacks.startswith("blocked")
        assert "allow emptyDir to be deleted" in text_of(app)


async def test_an_option_asks_for_another_plan_and_what_was_typed_stays() -> None:
    async with shown(plan(reason="fans")) as (at, pilot, app):
        at.query_one("#delete_emptydir").focus()
        await pilot.press("space")
        assert app.options == [DrainOptions(delete_emptydir=True)]
        at.query_one("#reason", Input).value = "other fans"
        at.show(plan(reason="fans"))
        assert at.query_one("#reason", Input).value == "other fans"


async def test_a_plan_with_nothing_to_do_says_so() -> None:
    async with shown(plan(Verb.CORDON, says=(), already=("already cordoned by oncall@desk",))) as (
        at,
        _,
        app,
    ):
        assert at.lacks == "nothing to do"
        assert "already cordoned by oncall@desk" in text_of(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (30, 10)])
async def test_a_plan_holds_any_text_at_any_size(size: tuple[int, int]) -> None:
    ugly = plan(names=[UGLY], says=[UGLY], blockers=[Blocker(key(UGLY), UGLY, UGLY)], warnings=(UGLY,))
    async with shown(ugly, size) as (_, _pilot, app):
        assert "\x1b" not in text_of(app)
        assert "[red]" in text_of(app)
