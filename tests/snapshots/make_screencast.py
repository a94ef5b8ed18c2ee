"""Writes screenshots/drill.cast: the lifecycle drill by an operator's keys, on a simulated fleet, as an asciinema v2 recording.

Run by `python -m tests.snapshots.make_screencast`; it needs tmux. Play it with `asciinema play screenshots/drill.cast`.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
from pathlib import Path

from tests.terminal import Terminal, terminal

FILE = Path(__file__).parents[2] / "screenshots" / "drill.cast"
WIDTH, HEIGHT = 120, 40
EVERY = 0.1
LONGEST_PAUSE = 2.0
"""Seconds that a picture stands still in the recording, however long the fleet took."""


class Recorder(threading.Thread):
    """Takes the terminal's picture ten times a second and keeps those that differ."""

    def __init__(self, at: Terminal) -> None:
        super().__init__(daemon=True)
        self._at = at
        self._ended = threading.Event()
        self.frames: list[tuple[float, str]] = []

    def run(self) -> None:
        shown, clock, last = "", 0.0, time.monotonic()
        while not self._ended.wait(EVERY):
            picture = self._at.tmux("capture-pane", "-e", "-p", "-t", "w")
            if picture.strip() and picture != shown:
                now = time.monotonic()
                clock += min(now - last, LONGEST_PAUSE)
                last, shown = now, picture
                self.frames.append((clock, picture))

    def end(self) -> None:
        self._ended.set()
        self.join()


def read(at: Terminal, *texts: str) -> str:
    """Wait for what a person would, and read it as long as a person would."""
    shown = at.sees(*texts)
    time.sleep(LONGEST_PAUSE)
    return shown


def typed(at: Terminal, text: str) -> None:
    for letter in text:
        at.type(letter)
        time.sleep(EVERY)
    at.press("Enter")


def walk(at: Terminal) -> None:
    """The whole drill, by its keys; `n` only goes on from one step to the next."""
    found = re.search(r"drill-[0-9a-f]{6}", read(at, "1 of 5 Provision", "your turn"))
    assert found is not None
    node = found[0]
    at.press("p")
    read(at, "Show the plan", node)
    at.press("Enter")
    read(at, "behind the gate", "Run it")
    at.press("Enter")
    read(at, "1 of 5 Provision", "n: go on")
    at.press("n")
    read(at, "2 of 5 Health gate (1/2)", "n: go on", "8 GPUs")
    at.press("n")
    read(at, "2 of 5 Health gate (2/2)", "your turn")
    at.press("u")
    read(at, "only a gate opens it")
    at.press("Escape")
    read(at, "u is Uncordon")
    at.press("n")
    read(at, "2 of 5 Health gate", "n: go on")
    at.press("n")
    read(at, "3 of 5 In service", "n: go on")
    at.press("i")
    read(at, "Reimage", "drill-budget")
    typed(at, "the patch of the month")
    at.sees("can't be confirmed by a key")
    typed(at, node)
    for step in ("(1/3)", "(2/3)"):
        read(at, f"4 of 5 Patch {step}", "n: go on")
        at.press("n")
    read(at, "4 of 5 Patch (3/3)", "n: go on")
    at.press("x")
    read(at, "Retire", "Run it")
    typed(at, "end of lease")
    at.sees("can't be confirmed by a key")
    typed(at, node)
    read(at, "5 of 5 Retire", "n: remove")
    at.press("n")
    read(at, "The drill is over")


def drawn(before: list[str], rows: list[str]) -> str:
    """What turns one picture into the next: the rows that differ."""
    return "".join(
        f"\x1b[{number};1H\x1b[0m{row}\x1b[0m\x1b[K"
        for number, row in enumerate(rows, 1)
        if number > len(before) or before[number - 1] != row
    )


def make(file: Path = FILE) -> None:
    """Record it anew."""
    with (
        tempfile.TemporaryDirectory() as folder,
        terminal(Path(folder), ("drill", "--speed", "60"), WIDTH, HEIGHT) as at,
    ):
        recorder = Recorder(at)
        recorder.start()
        try:
            walk(at)
        finally:
            recorder.end()
            at.press("q")
            at.sees("ended with")
    header = {"version": 2, "width": WIDTH, "height": HEIGHT, "title": "quarterdeck drill"}
    lines = [json.dumps(header)]
    before: list[str] = []
    for clock, picture in recorder.frames:
        rows = picture.split("\n")[:HEIGHT]
        lines.append(json.dumps([round(clock, 2), "o", drawn(before, rows)], ensure_ascii=False))
        before = rows
    file.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    make()
