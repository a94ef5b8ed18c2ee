"""Commands: declared once, each with an answer to why it can't be done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.category import Category
from fleet.holder import Hold, HolderKind
from fleet.plan import Verb
from fleet.policy import Policy
from fleet.row import FleetRow, row_of
from tests.builders import node
from tui import commands
from tui.command import Command, Danger, Standing
from tui.commands import ALL, BOUND_BY_WIDGETS, BY_VERB, COMMANDS
from widgets.drift_grid import DriftGrid
from widgets.filter_bar import FilterBar
from widgets.fleet_table import FleetTable
from widgets.heat_grid import HeatGrid
from widgets.operations_list import OperationsList

POLICY = Policy()


def standing(*rows: FleetRow, policy: Policy = POLICY) -> Standing:
    return Standing(policy, rows or (row_of(replace(node(), replaceable=True), None, None, policy),))


def test_every_command_is_declared_once_and_says_what_it_does() -> None:
    assert len(COMMANDS) == len(ALL)
    assert all(command.does.endswith(".") and command.label and command.keys for command in ALL)


def test_every_verb_has_a_command_and_what_cannot_be_taken_back_is_typed() -> None:
    assert set(BY_VERB) == set(Verb)
    assert {verb for verb, command in BY_VERB.items() if command.danger is Danger.TYPED} == {
        Verb.REIMAGE,
        Verb.RETIRE,
    }


def test_the_bindings_of_widgets_have_a_command_of_the_same_id() -> None:
    bound = {
        binding.id
        for widget in (DriftGrid, FleetTable, FilterBar, HeatGrid, OperationsList)
        for binding in widget.BINDINGS
        if not isinstance(binding, tuple)
    }
    assert bound == BOUND_BY_WIDGETS


@pytest.mark.parametrize("command", [each for verb, each in BY_VERB.items() if verb is not Verb.PROVISION])
def test_a_verb_needs_a_node(command: Command) -> None:
    assert command.why_not(Standing(POLICY)) == "no node is under the cursor or marked"
    assert command.why_not(standing()) is None


def test_a_read_only_session_changes_nothing_but_may_check() -> None:
    at = replace(standing(), read_only=True, provisions=True)
    refused = {verb for verb, command in BY_VERB.items() if "read-only" in (command.why_not(at) or "")}
    assert refused == set(Verb) - {Verb.GATE}


@pytest.mark.parametrize("command", [commands.FAULT, commands.CANCEL, commands.RESUME, commands.DRILL])
def test_a_read_only_session_breaks_nothing_either_and_stops_nobody(command: Command) -> None:
    at = replace(
        standing(), read_only=True, simulated=True, drills=True, chosen="op-1", chosen_state="running"
    )
    assert "read-only" in (command.why_not(at) or "")


def test_reimage_says_which_category_lacks_an_imager() -> None:
    bare = row_of(node(category="a100"), None, None, POLICY)
    assert commands.REIMAGE.why_not(standing(bare)) == (
        "its category (a100) has no imager: name one in the configuration"
    )
    policy = Policy(categories={"a100": Category("a100", imager="recreate")})
    assert commands.REIMAGE.why_not(standing(bare, policy=policy)) == (
        "the imager recreate serves KWOK and simulated nodes only"
    )


def test_undo_is_for_what_we_closed() -> None:
    def held(*holds: Hold) -> Standing:
        return standing(row_of(node(holds=holds), None, None, POLICY))

    assert commands.UNDO.why_not(held(Hold("oncall@desk"))) is None
    assert "did not close it" in (commands.UNDO.why_not(held(Hold("x", kind=HolderKind.CONTROLLER))) or "")
    assert "nothing of ours" in (commands.UNDO.why_not(held()) or "")


@pytest.mark.parametrize(
    ("state", "resumes", "cancels"),
    [("running", False, True), ("interrupted", True, True), ("failed", True, False), ("done", False, False)],
)
def test_an_operation_is_resumed_or_cancelled_as_its_state_allows(
    state: str, resumes: bool, cancels: bool
) -> None:
    at = Standing(POLICY, chosen="op-1", chosen_state=state)
    assert (commands.RESUME.why_not(at) is None) is resumes
    assert (commands.CANCEL.why_not(at) is None) is cancels
