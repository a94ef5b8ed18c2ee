"""The command line where its streams are not what a terminal gives: closed, narrow of character, or no terminal at all."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.journeys.served import quarterdeck

ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("command", [[], ["demo"]])
def test_the_dashboard_without_a_terminal_ends_at_once_and_says_so(command: list[str]) -> None:
    said = quarterdeck(*command)
    assert said.code == 2
    assert "no terminal" in said.err
    assert "\x1b" not in said.err + said.out


@pytest.mark.parametrize("arguments", ["xid 79", "xid 79 --json", "--help"])
def test_a_closed_stdout_is_no_traceback(arguments: str) -> None:
    command = f"{sys.executable} -m tui.cli {arguments} >&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=60)  # noqa: S602 - ours
    assert done.returncode == 0
    assert not done.stderr


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    command = f"{sys.executable} -m tui.cli xid 79 | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=60)  # noqa: S602 - ours
    assert not done.stderr


def test_an_ascii_terminal_gets_escapes_in_place_of_a_traceback() -> None:
    wrong = quarterdeck("--config", "größe.toml", "nodes", **ASCII)
    assert wrong.code == 2
    assert "toml: there is no such file" in wrong.err
    assert json.loads(quarterdeck("xid", "79", "--json", **ASCII).out)


@pytest.mark.parametrize(
    "arguments",
    [
        ["sim", "--port", "99999"],
        ["sim", "--nodes", "many"],
        ["sim", "--speed", "nan"],
        ["plan", "drain", "gpu-1", "--timeout", "999999999999d"],
        ["plan", "drain", "gpu-1", "--grace-period", "99999999999999999"],
    ],
)
def test_a_number_that_can_not_be_is_wrong_usage(arguments: list[str]) -> None:
    said = quarterdeck(*arguments)
    assert said.code == 2
    assert arguments[-1] in said.err
    assert "Traceback" not in said.err


def test_a_simulation_whose_stdin_is_nothing_ends_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli", "sim", "--nodes", "3", "--until-stdin-closes"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
