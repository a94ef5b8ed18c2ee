"""Looking around: filter, sort, fold, pane, palette, help, themes, sizes, empty fleets, and texts that would do harm."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fleet.feeds import FeedHealth, FeedState
from fleet.holder import Hold
from fleet.node import Admission, NodeKey
from fleet.observation import FeedChanged, NodeGone, NodeSeen
from tests.driver import at_the_desk
from tests.fakes import SOURCE, key
from tests.lab_fleet import lab_fleet
from tui.app import QuarterdeckApp
from tui.commands import CORDON, FAULT, FILTER, HELP, OPEN, PALETTE, REVERSE, SORT, THEME, WORST
from tui.deck import Deck
from tui.screens.confirm import ConfirmScreen
from tui.settings import Settings
from tui.toml_section import BadSettings
from widgets.node_pane import NodePane

UGLY = "\x1b[31m[red]boom[/red]\x1b]0;owned\x07\n\u202eevil"


async def test_the_cursor_starts_on_the_node_with_the_worst_problem() -> None:
    async with at_the_desk() as at:
        assert at.fleet_screen.table.cursor_key == key("a100-005")


async def test_the_filter_narrows_as_you_type_and_escape_brings_all_back() -> None:
    async with at_the_desk() as at:
        await at.press(FILTER)
        await at.type("stage=quarantined")
        await at.sees("1 of 28 nodes", "h100-007")
        await at.sees_no("a100-001")
        await at.press("escape")
        await at.sees("a100-001")


async def test_a_filter_that_can_not_be_read_points_at_the_place() -> None:
    async with at_the_desk() as at:
        await at.press(FILTER)
        await at.type("gpu_temp>hot")
        await at.sees("^ gpu_temp is a number, and 'hot' is none")
        assert "a100-001" in at.text() or "no node" in at.text()


async def test_a_filter_that_nothing_matches_says_how_to_clear_it() -> None:
    async with at_the_desk() as at:
        await at.press(FILTER)
        await at.type("name=nobody")
        await at.press("enter")
        await at.sees("no node matches name=nobody: esc clears the filter")
        await at.press("escape")
        await at.sees("a100-001")


async def test_marks_that_the_filter_hides_are_counted() -> None:
    async with at_the_desk() as at:
        await at.mark("h100-001", "l40s-001")
        await at.press(FILTER)
        await at.type("category=h100*")
        await at.press("enter")
        await at.mark("h100-002")
        await at.sees("3 nodes marked, 1 of them hidden by the filter")


async def test_the_worst_comes_first_and_a_key_goes_round_the_troubles() -> None:
    async with at_the_desk() as at:
        await at.select("l40s-001")
        await at.press(WORST)
        assert at.fleet_screen.table.cursor_key == key("a100-005")
        await at.press(WORST)
        assert at.fleet_screen.table.cursor_key == key("h100-007")


async def test_the_order_is_chosen_from_a_list_and_turned_round() -> None:
    async with at_the_desk() as at:
        await at.press(SORT)
        await at.sees("Sort by", "the hottest GPU")
        await at.press("home", "enter")
        await at.until(lambda: at.fleet_screen.view.sort.column.value == "name", "the order by name")
        await at.press(REVERSE)
        assert at.fleet_screen.view.sort.descending


async def test_the_pane_shows_the_node_under_the_cursor_and_its_gpus() -> None:
    async with at_the_desk((160, 48)) as at:
        await at.select("h100-001")
        await at.press(OPEN)
        await at.sees("NVIDIA H100 80GB HBM3")
        pane = at.fleet_screen.query_one(NodePane)
        await at.until(lambda: pane.view is not None and pane.view.gpus is not None, "the GPUs")
        await at.select("h100-007")
        await at.sees("by gate")
        await at.press("escape")
        await at.sees_no("NVIDIA H100 80GB HBM3")


async def test_a_narrow_terminal_gives_a_node_a_screen_of_its_own_where_verbs_work() -> None:
    async with at_the_desk((80, 24)) as at:
        await at.select("h100-001")
        await at.press(OPEN)
        await at.sees("held by", "nobody")
        await at.press(CORDON)
        await at.sees("Cordon h100-001")
        await at.confirm("fan swap")
        await at.sees("cordon h100-001: done")


async def test_a_verb_on_a_nodes_own_screen_is_for_that_node_whatever_is_marked() -> None:
    async with at_the_desk((80, 24)) as at:
        await at.mark("h100-002", "h100-003")
        await at.select("h100-001")
        await at.press(OPEN)
        await at.sees("held by", "nobody")
        await at.press(CORDON)
        await at.sees("Cordon h100-001")
        assert isinstance(at.app.screen, ConfirmScreen)
        assert [node.name for node in at.app.screen.request.nodes] == ["h100-001"]
        await at.press("escape")
        assert {node.name for node in at.fleet_screen.table.marks} == {"h100-002", "h100-003"}


async def test_a_verb_on_a_node_that_the_filter_hides_is_for_that_node() -> None:
    async with at_the_desk((80, 24)) as at:
        await at.select("a100-001")
        await at.press(FILTER)
        await at.type("a100")
        await at.press("enter")
        at.fleet_screen.go_to(NodeKey(SOURCE, "h100-001"))
        await at.sees("held by")
        await at.press(CORDON)
        await at.sees("Cordon h100-001")


async def test_a_verb_on_a_node_that_went_meanwhile_is_for_no_other() -> None:
    async with at_the_desk((80, 24)) as at:
        await at.select("h100-001")
        await at.press(OPEN)
        await at.sees("held by", "nobody")
        at.deck.report([NodeGone(NodeKey(SOURCE, "h100-001"))])
        await at.press(CORDON)
        await at.sees("Cordon: no node is under the cursor or marked")


async def test_every_command_is_in_the_palette_and_one_that_can_not_be_done_says_why() -> None:
    async with at_the_desk(read_only=True) as at:
        await at.select("h100-001")
        await at.press(PALETTE)
        await at.type("retire")
        await at.sees("Retire", "not now: this session is read-only")


async def test_a_command_chosen_from_the_palette_is_done() -> None:
    async with at_the_desk() as at:
        await at.select("h100-001")
        await at.press(PALETTE)
        await at.type("cordon")
        await at.sees("Stop new work landing")
        await at.press("enter")
        await at.sees("Cordon h100-001")


async def test_help_names_every_key_and_the_filters_fields() -> None:
    async with at_the_desk((120, 220)) as at:
        await at.press(HELP)
        await at.sees("Reimage", "gpu_temp", "turns a term round")
        await at.press("escape")
        await at.sees("a100-001")


async def test_each_theme_is_a_key_away_and_ascii_draws_nothing_else() -> None:
    async with at_the_desk() as at:
        for name in ("light", "colour-blind", "ascii"):
            await at.press(THEME)
            await at.sees(f"theme {name}")
        assert at.text().isascii()
        await at.press(THEME)
        await at.sees("theme dark")


@pytest.mark.parametrize("where", [CORDON, HELP, PALETTE, SORT, OPEN])
async def test_ascii_holds_on_every_screen(where) -> None:  # type: ignore[no-untyped-def]
    async with at_the_desk((80, 24), settings=Settings(theme="ascii")) as at:
        await at.select("h100-001")
        await at.press(where)
        await at.until(lambda: len(at.app.screen_stack) > 2, "the screen")
        await at.pilot.pause(0.05)
        assert [line for line in at.text().splitlines() if not line.isascii()] == []


async def test_growing_and_shrinking_keeps_the_cursor_and_closes_the_pane() -> None:
    async with at_the_desk((160, 48)) as at:
        await at.select("h100-001")
        await at.press(OPEN)
        await at.pilot.resize_terminal(80, 24)
        await at.pilot.pause()
        await at.sees("h100-001")
        assert not at.fleet_screen.has_class("with-pane")
        assert at.fleet_screen.table.cursor_key == key("h100-001")


async def test_other_keys_can_be_chosen() -> None:
    async with at_the_desk(settings=Settings(keys={"verb.cordon": "ctrl+k", "table.mark": "y"})) as at:
        await at.select("h100-001")
        await at.press("y")
        assert at.fleet_screen.table.marks == {key("h100-001")}
        await at.press("c")
        await at.press("ctrl+k")
        await at.sees("Cordon h100-001")


async def test_a_key_that_is_taken_is_wrong_settings() -> None:
    with pytest.raises(BadSettings, match=r"keys\.verb\.cordon: g is the key of verb\.gate already"):
        QuarterdeckApp(lab_fleet().open, Settings(keys={"verb.cordon": "g"}))


async def test_a_column_that_is_not_there_is_wrong_settings() -> None:
    with pytest.raises(BadSettings, match="there is no column 'colour'"):
        QuarterdeckApp(lab_fleet().open, Settings(columns=("colour",)))


async def test_settings_that_turn_out_wrong_while_opening_end_with_exit_2() -> None:
    async def fails() -> Deck:
        raise BadSettings(Path("config.toml"), "kubernetes.contexts", "there is no context nowhere")

    app = QuarterdeckApp(fails, Settings())
    async with app.run_test() as pilot:
        await pilot.pause()
    assert app.return_code == 2
    assert "there is no context nowhere" in app.last_words


async def test_a_fleet_that_is_listed_still_says_so_and_one_that_is_out_of_reach_since_when_and_why() -> None:
    async with at_the_desk(fleet=lab_fleet(empty=True)) as at:
        await at.sees("listing the nodes…")
        since = at.fleet.clock.now() - timedelta(minutes=3)
        state = FeedState(SOURCE, "nodes", FeedHealth.UNREACHABLE, since, why="connection refused")
        at.deck.report([FeedChanged(state)])
        says = "lab is unreachable for 3m: connection refused. Trying again; `quarterdeck doctor` tells more"
        await at.sees(says, "UNREACHABLE", "? nodes in service")


async def test_a_source_that_goes_away_leaves_the_last_known_fleet_marked() -> None:
    async with at_the_desk() as at:
        state = FeedState(
            SOURCE, "nodes", FeedHealth.UNREACHABLE, at.fleet.clock.now(), why="connection refused"
        )
        at.deck.report([FeedChanged(state)])
        await at.sees("nodes UNREACHABLE", "connection refused", "h100-001")


async def test_a_fault_is_chosen_from_the_demos_list() -> None:
    async with at_the_desk() as at:
        await at.select("h100-001")
        await at.press(FAULT)
        await at.sees("Break h100-001", "xid-79")
        await at.press("enter")
        await at.sees("h100-001: xid-79")
        assert at.fleet.desk.injected == [("xid-79", "h100-001")]


async def test_texts_from_outside_do_no_harm_on_any_screen() -> None:
    async with at_the_desk((160, 48)) as at:
        node = at.fleet.lab.node("h100-001")
        ugly = replace(
            node,
            key=NodeKey(SOURCE, f"aaa{UGLY}"),
            uid=UGLY,
            category=UGLY,
            admission=Admission.CORDONED,
            holds=(Hold(UGLY, UGLY * 200),),
            owner=UGLY,
        )
        at.fleet.lab.add(ugly)
        at.deck.report([NodeSeen(ugly)])
        await at.sees("aaa[red]…d] evil")
        await at.select(ugly.key.name)
        await at.press(OPEN)
        await at.press(CORDON)
        await at.planned()
        await at.sees("Cordon aaa[red]boom[/red]")
        await at.press("escape")
        await at.press("u")
        await at.planned()
        assert not set(at.text()) & {"\x1b", "\x07", "\u202e"}


async def test_the_menu_of_faults_says_in_words_what_each_does() -> None:
    fleet = lab_fleet()
    fleet.desk.names = ("too_few_gpus",)
    async with at_the_desk(fleet=fleet) as at:
        await at.select("h100-001")
        await at.press(FAULT)
        await at.sees("too few gpus", "a GPU that the machine does not find, and no XID")


async def test_the_palette_puts_first_what_begins_as_it_was_typed() -> None:
    async with at_the_desk() as at:
        await at.select("h100-001")
        await at.press(PALETTE)
        await at.type("co")
        await at.sees("Stop new work landing")
        await at.press("enter")
        await at.sees("Cordon h100-001")


async def test_help_and_what_a_key_is_answered_with_wrap_instead_of_being_cut() -> None:
    async with at_the_desk((80, 24)) as at:
        await at.press(HELP)
        await at.sees("that fails is quarantined.", "away within")
        await at.press("escape")
        await at.select("l40s-008")
        at.fleet_screen.say("one two three four five six seven eight nine ten " * 2 + "the end of it")
        await at.sees("the end of it")


async def test_the_keys_of_the_pane_are_in_the_footer_as_long_as_it_is_open() -> None:
    async with at_the_desk((200, 50)) as at:
        await at.select("a100-001")
        at.fleet_screen.tick()
        await at.press(OPEN)
        assert "Longer past" in at.text().splitlines()[-1]
        await at.press(OPEN)
        assert "Longer past" not in at.text().splitlines()[-1]
