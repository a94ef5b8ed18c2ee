"""Operations with what they wait for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from textual.app import App, ComposeResult

from fleet.node import NodeKey
from fleet.operation import Operation, OperationState, Outcome, Progress, StepState, Waiting
from tests.builders import NOW, operation, plan
from widgets.glyphs import UNICODE
from widgets.lines import width_of_line
from widgets.operation_lines import operation_lines
from widgets.operations_list import OperationsList
from widgets.sheet import Sheet

KEY = NodeKey("demo", "gpu-001")
WAIT = Waiting("pod web/web-1", "budget web-pdb", "owner: web", NOW - timedelta(minutes=2))
PROGRESS = Progress("gpu-001/2", KEY, "evicting", (WAIT,), 1, 3)


def said(of: Operation, progress: Sequence[Progress]) -> list[str]:
    lines = operation_lines(of, progress, NOW, UNICODE, 100)
    assert width_of_line(lines[0]) == 100
    return ["".join(text for text, _ in line) for line in lines]


def test_a_drain_that_waits_says_for_which_budget_on_which_pod_and_whose_it_is() -> None:
    lines = said(operation(done=1), [PROGRESS])
    assert "drain gpu-001  step 1 of 2  evicting (1 of 3)" in lines[0]
    assert lines[0].endswith("op-1    4m")
    assert lines[1].strip() == "▲ waits for budget web-pdb (owner: web): pod web/web-1 since 2m"


def test_many_nodes_are_counted_by_nodes_done() -> None:
    assert "1 of 3 nodes" in said(operation(plan(names=["a", "b", "c"]), done=2), [])[0]


def test_a_failure_names_the_node_and_waits_of_an_ended_one_are_not_shown() -> None:
    failed = operation(
        state=OperationState.FAILED, outcomes=[Outcome("s", KEY, StepState.FAILED, "deadline passed")]
    )
    lines = said(failed, [PROGRESS])
    assert lines[0].startswith("✗ failed")
    assert lines[1:] == ["    ✗ gpu-001: deadline passed"]


def test_many_waits_are_cut_and_counted() -> None:
    assert "and 6 more waits" in said(operation(), [Progress("s", KEY, "", (WAIT,) * 10)])[-1]


class ListApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.cancelled: list[str] = []

    def compose(self) -> ComposeResult:
        yield OperationsList()

    def on_operations_list_opened(self, message: OperationsList.Opened) -> None:
        self.opened.append(message.operation.id)

    def on_operations_list_cancel_asked(self, message: OperationsList.CancelAsked) -> None:
        self.cancelled.append(message.operation.id)


async def test_the_cursor_stays_on_its_operation_and_its_keys_are_about_it() -> None:
    app = ListApp()
    async with app.run_test(size=(80, 10)) as pilot:
        at = app.query_one(OperationsList)
        old, new = operation(name="old"), operation(name="new")
        at.focus()
        at.show([old], {}, NOW)
        at.show([new, old], {"old": [PROGRESS]}, NOW)
        assert at.chosen is old
        await pilot.press("enter", "x", "up", "x")
        assert app.opened == ["old"]
        assert app.cancelled == ["old", "new"]
        at.show([], {}, NOW)
        await pilot.press("down", "x", "enter")
        assert app.cancelled == ["old", "new"]
        assert "no operation yet" in app.query_one(Sheet).render().plain


async def test_a_click_chooses_the_operation_under_it() -> None:
    app = ListApp()
    async with app.run_test(size=(80, 10)) as pilot:
        at = app.query_one(OperationsList)
        first, second = operation(name="first"), operation(name="second")
        at.show([first, second], {"first": [PROGRESS]}, NOW)
        await pilot.pause()
        await pilot.click(OperationsList, offset=(5, 2))
        assert at.chosen is second
