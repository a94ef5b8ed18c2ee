"""The line that is said before anything is imported: where it stands, and where it must not."""

from __future__ import annotations

import argparse
import io
import sys

import pytest

from tui import __main__, cli

SCREENS = {"demo", "drill"}


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def said(monkeypatch: pytest.MonkeyPatch, *arguments: str, stream: io.StringIO, term: str = "xterm") -> str:
    monkeypatch.setattr(cli, "main", lambda: None)
    monkeypatch.setattr(sys, "argv", ["quarterdeck", *arguments])
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", term)
    __main__.main()
    return stream.getvalue()


@pytest.mark.parametrize("arguments", [(), ("demo", "--nodes", "9"), ("--context", "prod")])
def test_a_dashboard_says_that_it_opens_and_clears_it(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    terminal = Terminal()
    assert said(monkeypatch, *arguments, stream=terminal) == "quarterdeck: opening\r"
    __main__.withdraw()
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize(
    "arguments", [("nodes", "--json"), ("--version",), ("drill", "list"), ("--context", "a", "xid", "79")]
)
def test_a_command_that_prints_says_nothing_first(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    assert said(monkeypatch, *arguments, stream=Terminal()) == ""


def test_nothing_is_said_to_a_pipe_or_a_terminal_that_clears_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, stream=io.StringIO()) == ""
    assert said(monkeypatch, stream=Terminal(), term="dumb") == ""


def test_every_command_that_opens_no_screen_is_known() -> None:
    commands = next(each for each in cli.parser()._actions if isinstance(each, argparse._SubParsersAction))
    assert set(commands.choices) - SCREENS <= __main__.PRINTING
