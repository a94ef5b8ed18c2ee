"""A served fleet for as long as a block lasts, in a process of its own so that it does not count as ours."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from benchmarks.terminal import Terminal, environment, python


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where a served fleet is, and a folder for whoever looks at it."""

    kubernetes: str
    metrics: str
    targets: str
    folder: Path
    pid: int
    _stdin: IO[str]

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def port(self) -> int:
        return urlsplit(self.kubernetes).port or 0

    def change(self, rate: int) -> None:
        """From now on so many nodes change a second."""
        self._stdin.write(f"{rate}\n")
        self._stdin.flush()

    def dashboard(self, *flags: str) -> Terminal:
        """The program on this fleet, on a terminal of its own, with a state folder of its own."""
        command = python("-m", "tui.cli", "--kubeconfig", str(self.kubeconfig), *flags)
        return Terminal(command, own_folders(self.folder))


@contextmanager
def served(nodes: int, *, pods: int | None = None, speed: float = 1.0) -> Iterator[Fleet]:
    """A fleet that is being served, with pods up to that number. It ends, by itself, with the block."""
    with tempfile.TemporaryDirectory(prefix="quarterdeck-bench-") as folder:
        flags = [f"--nodes={nodes}", f"--speed={speed}", f"--kubeconfig={folder}/kubeconfig"]
        command = python("-m", "benchmarks.served", *flags, *([f"--pods={pods}"] if pods else []))
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            said = json.loads(process.stdout.readline())
            yield Fleet(
                said["kubernetes"], said["metrics"], said["targets"], Path(folder), process.pid, process.stdin
            )
        finally:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def own_folders(folder: Path | str) -> dict[str, str]:
    """Where a program under measurement keeps what it keeps, so that it meets nobody else's."""
    return {name: str(folder) for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}


def on_screen(nodes: int) -> tuple[bytes, bytes]:
    """What the header says once so many nodes are live."""
    return f" of {nodes:,}".encode(), b"in service"
