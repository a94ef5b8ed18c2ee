"""Scripts and the command line start without the screen: importing these loads no Textual."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.house.source import ROOT, modules_of

HEADLESS = ("tui.cli", "tui.settings", "tui.wiring", "tui.run", "tui.headless.verbs", "tui.headless.doctor")


def textual_loaded_by(modules: list[str]) -> list[str]:
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(*sorted(name for name in sys.modules if name.partition('.')[0] == 'textual'))\n"
    )
    command = [sys.executable, "-c", program, *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("package", ["fleet", "backends"])
def test_a_package_without_a_screen_loads_no_textual(package: str) -> None:
    assert textual_loaded_by(modules_of(package)) == []


@pytest.mark.parametrize("module", HEADLESS)
def test_the_command_line_starts_without_textual(module: str) -> None:
    assert textual_loaded_by([module]) == []


def test_the_probe_would_see_textual() -> None:
    assert "textual" in textual_loaded_by(["textual"])
