"""A real terminal: the program in tmux, keys typed into it, and what its screen then shows."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.servers import require

PATIENCE = 40.0
"""Seconds of real time after which what is waited for is said never to come: a busy machine boots a fleet in a few."""


class Terminal:
    """One tmux server of a test's own, with one window."""

    def __init__(self, tmux: Path, socket: Path) -> None:
        self._tmux = tmux
        self._socket = socket

    def tmux(self, *arguments: str) -> str:
        """One tmux command's output; empty where its server has gone."""
        done = subprocess.run(
            [self._tmux, "-S", self._socket, "-f", os.devnull, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        """Keys by tmux's names (`Enter`, `Escape`), one after the other."""
        for key in keys:
            self.tmux("send-keys", "-t", "w", key)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-t", "w", "-l", text)

    def text(self) -> str:
        """What is on the screen now."""
        return self.tmux("capture-pane", "-p", "-t", "w")

    def opens(self, key: str, *texts: str) -> str:
        """Press a key until it is answered: one right behind an escape is read as part of it, by any terminal."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self.press(key)
            again = time.monotonic() + 3.0
            while time.monotonic() < again:
                shown = self.text()
                if all(text in shown for text in texts):
                    return shown
                time.sleep(0.05)
        raise AssertionError(f"{key} never opened {texts}\n{self.text()}")

    def sees(self, *texts: str) -> str:
        """Wait until all of these are on the screen at once, and give it."""
        until = time.monotonic() + PATIENCE
        shown = ""
        while time.monotonic() < until:
            shown = self.text()
            if all(text in shown for text in texts):
                return shown
            time.sleep(0.05)
        raise AssertionError(f"never on the screen: {texts}\n{shown}")


@contextmanager
def terminal(folder: Path, arguments: Sequence[str], width: int, height: int) -> Iterator[Terminal]:
    """`quarterdeck ARGUMENTS` in a terminal of that size; when it ends, its exit code is shown as `ended with N`."""
    here = Terminal(require("tmux"), folder / "tmux")
    program = shlex.join([sys.executable, "-m", "tui.cli", *arguments])
    script = f"cd {shlex.quote(str(Path.cwd()))}; unset COLUMNS LINES; {program}; echo ended with $?; cat"
    here.tmux("new-session", "-d", "-s", "w", "-x", str(width), "-y", str(height), script)
    try:
        yield here
    finally:
        here.tmux("kill-server")
