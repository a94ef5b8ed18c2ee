"""Keys: chosen in the settings, refused where they clash, spelled as people read them."""

from __future__ import annotations

import pytest

from tui.command import Kind
from tui.commands import ALL, CORDON, HELP, UP
from tui.keymap import resolve, spelled
from tui.toml_section import BadSettings


def test_without_settings_every_command_has_its_own_keys() -> None:
    assert resolve({}) == {command.id: command.keys for command in ALL}


def test_a_key_may_be_written_as_it_looks() -> None:
    assert resolve({"fleet.filter": "ctrl+f2, /"})["fleet.filter"] == "ctrl+f2,slash"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"verb.cordn": "c"}, "there is no such command; did you mean verb.cordon?"),
        ({"verb.cordon": "d"}, "d is the key of verb.drain already"),
        ({"app.help": "g"}, "g is the key of verb.gate already"),
        ({"verb.drain": ""}, "expected a key"),
        ({"verb.drain": "d,,e"}, "expected a key"),
        (
            {"verb.drain": "enter", "table.open": "o,f9", "fleet.operations": "O"},
            "enter confirms a plan, so it may not",
        ),
        ({"confirm.run": "enter,y"}, "y is typed into the reason there"),
    ],
)
def test_a_wrong_key_names_the_command_and_what_is_wrong(keys: dict[str, str], says: str) -> None:
    with pytest.raises(BadSettings, match=says.replace("?", r"\?")):
        resolve(keys)


def test_two_commands_may_swap_their_keys() -> None:
    keys = resolve({"verb.cordon": "d", "verb.drain": "c"})
    assert (keys["verb.cordon"], keys["verb.drain"]) == ("d", "c")


def test_keys_are_spelled_as_people_read_them() -> None:
    assert spelled(HELP.keys) == "?"
    assert spelled(UP.keys) == "↑ k"
    assert spelled(UP.keys, ascii_only=True) == "up k"
    assert spelled(CORDON.keys) == "c"
    assert spelled("enter,plus") == "enter +"
    assert spelled("minus") == "-"


def test_under_one_heading_of_the_help_a_key_stands_once_but_for_the_way_back() -> None:
    taken: dict[tuple[Kind, str], str] = {}
    for command in ALL:
        if command.label != "Back":
            for key in command.keys.split(","):
                assert taken.setdefault((command.kind, key), command.id) == command.id
