"""The documents say what the program does: keys, commands, flags, settings, stages, exit codes, links."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

import pytest

from fleet.node import Stage
from tests.house.source import ROOT
from tui import exits
from tui.cli import parser
from tui.keys_page import page
from tui.settings import load

DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def commands() -> dict[str, argparse.ArgumentParser]:
    (action,) = (found for found in parser()._actions if isinstance(found, argparse._SubParsersAction))
    return dict(action.choices)


def test_the_page_of_keys_is_made_from_the_commands() -> None:
    assert (ROOT / "docs" / "keys.md").read_text() == page(), "run: python -m tui.keys_page > docs/keys.md"


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_and_flag_is_in_the_page_of_commands(name: str) -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    assert f"quarterdeck {name}" in text
    flags = {
        flag
        for action in commands()[name]._actions
        if action.help != argparse.SUPPRESS
        for flag in action.option_strings
        if flag.startswith("--") and not flag.startswith("--no-") and flag != "--help"
    }
    assert not {flag for flag in flags if flag not in text}


def test_every_exit_code_is_in_the_page_of_commands() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    for code in (exits.DONE, exits.FAILED, exits.USAGE, exits.BLOCKED, exits.UNREACHABLE):
        assert f"| {code} |" in text


def test_every_stage_is_explained() -> None:
    text = (ROOT / "docs" / "lifecycle.md").read_text()
    assert not [stage.value for stage in Stage if f"| {stage.value} |" not in text]


def test_the_settings_in_the_docs_are_settings_the_program_reads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "configuration.md").read_text(), re.DOTALL)
    file = tmp_path / "config.toml"
    file.write_text(example)
    settings = load(file)
    assert (
        settings.policy.category("h100").desired_image
        == tomllib.loads(example)["category"]["h100"]["desired_image"]
    )


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text())
    assert not [link for link in links if "://" not in link and not (document.parent / link).exists()]
