"""Which keys each command has, once the settings have spoken. A wrong or clashing key is wrong settings, named."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from tui.command import Command, Danger, Place
from tui.commands import ALL, COMMANDS
from tui.toml_section import BadSettings

Keys = Mapping[str, str]
"""By command id: keys as Textual spells them, by comma."""

_SPELLED = {
    "slash": "/",
    "question_mark": "?",
    "colon": ":",
    "asterisk": "*",
    "plus": "+",
    "minus": "-",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "space": "space",
}
_TYPED_AS = {shown: name for name, shown in _SPELLED.items()} | {"pgup": "pageup", "pgdn": "pagedown"}
_WORDS = {"↑": "up", "↓": "down", "←": "left", "→": "right"}


def resolve(overrides: Keys, file: Path | None = None) -> dict[str, str]:
    """Every command's keys. `overrides` come from `[keys]` of the settings. Raises BadSettings."""
    where = file or Path("settings")
    keys = {command.id: command.keys for command in ALL}
    for name, wanted in overrides.items():
        if name not in COMMANDS:
            near = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BadSettings(where, f"keys.{name}", f"there is no such command{hint}")
        pressed = [_TYPED_AS.get(key.strip(), key.strip()) for key in wanted.split(",")]
        if not all(pressed):
            raise BadSettings(where, f"keys.{name}", "expected a key, or several with commas between")
        keys[name] = ",".join(pressed)
    _refuse_clashes(keys, overrides, where)
    return keys


def spelled(keys: str, *, ascii_only: bool = False, most: int = 2) -> str:
    """Keys as people read them: `ctrl+p :`, the first `most` of them."""
    shown = [_SPELLED.get(key, key) for key in keys.split(",")[:most]]
    return " ".join(_WORDS.get(key, key) if ascii_only else key for key in shown)


def _refuse_clashes(keys: Keys, overrides: Keys, where: Path) -> None:
    taken: dict[tuple[Place, str], Command] = {}
    for command in ALL:
        for key in keys[command.id].split(","):
            for place in _places(command):
                other = taken.setdefault((place, key), command)
                if other is not command:
                    named = command if command.id in overrides else other
                    rival = other if named is command else command
                    raise BadSettings(where, f"keys.{named.id}", f"{key} is the key of {rival.id} already")
    for command in ALL:
        letters = [key for key in keys[command.id].split(",") if len(key) == 1]
        if command.place is Place.CONFIRM and letters:
            says = f"{letters[0]} is typed into the reason there: it takes a key that types nothing"
            raise BadSettings(where, f"keys.{command.id}", says)
    for command in ALL:
        shared = set(keys[command.id].split(",")) & set(keys["confirm.run"].split(","))
        if command.danger is not Danger.NONE and shared:
            says = f"{min(shared)} confirms a plan, so it may not also open one"
            raise BadSettings(where, f"keys.{command.id}", says)


def _places(command: Command) -> tuple[Place, ...]:
    return tuple(Place) if command.place is Place.EVERYWHERE else (command.place,)
