"""The page of every key, made from the commands: `python -m tui.keys_page > docs/keys.md`. A test holds the two together."""

from __future__ import annotations

import sys

from tui.command import Danger, Kind
from tui.commands import ALL
from tui.keymap import spelled

_DANGERS = {
    Danger.NONE: "",
    Danger.REVERSIBLE: "confirmed with enter",
    Danger.TYPED: "confirmed by typing",
}


def page() -> str:
    """The whole page, as Markdown."""
    lines = [
        "# Keys",
        "",
        "Every command, with the id by which `[keys]` in the configuration rebinds it:",
        "",
        "```toml",
        "[keys]",
        '"verb.cordon" = "C"',
        "```",
        "",
        "A key that can't be used now is answered with the reason. Anything on more than 10 nodes is confirmed by typing.",
    ]
    for kind in Kind:
        lines += [
            "",
            f"## {kind.value}",
            "",
            "| key | command | what it does | confirmed | id |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {_keys(command.keys)} | {command.label} | {command.does} | {_DANGERS[command.danger]} | `{command.id}` |"
            for command in ALL
            if command.kind is kind
        ]
    return "\n".join(lines) + "\n"


def _keys(keys: str) -> str:
    """As they look, which the settings understand as well."""
    return " ".join(f"`{key}`" for key in spelled(keys, most=keys.count(",") + 1).split())


if __name__ == "__main__":
    sys.stdout.write(page())
