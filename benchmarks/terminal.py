"""A program on a terminal of its own: what it paints, when, and at what cost. POSIX only, and /proc for the cost."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from types import TracebackType

COLUMNS, LINES = 160, 48
_PATIENCE = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a person's shell would give a program: a colour terminal, and leave to keep compiled modules."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for name in ("NO_COLOR", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        kept.pop(name, None)
    return {**kept, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(more or {})}


class Silent(Exception):
    """The program did not paint what was waited for."""


class Terminal:
    """A program from exec to its end. A context: leaving it ends the program, by its process id."""

    def __init__(self, command: Sequence[str], more: Mapping[str, str] | None = None) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.began = perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(more),
            preexec_fn=_take_terminal,
            close_fds=True,
        )
        os.close(theirs)
        self.painted = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    def press(self, keys: bytes) -> None:
        """Type these bytes."""
        os.write(self._ours, keys)

    def until(self, *texts: bytes, patience: float = _PATIENCE) -> float:
        """Read until all these bytes were painted since the last call; when the last was, on `perf_counter`'s clock."""
        self.painted = b""
        end = perf_counter() + patience
        while not all(text in self.painted for text in texts):
            self._read(end, texts)
        return perf_counter()

    def answer(self, key: bytes, mark: bytes, patience: float = _PATIENCE) -> float:
        """Press a key; seconds until `mark` is painted."""
        pressed = perf_counter()
        self.press(key)
        return self.until(mark, patience=patience) - pressed

    def first_bytes(self) -> float:
        """Read until anything at all is written; when that was."""
        self._read(perf_counter() + _PATIENCE, ())
        return perf_counter()

    def idle(self, seconds: float) -> None:
        """Read and forget for so long."""
        end = perf_counter() + seconds
        while (left := end - perf_counter()) > 0:
            if select.select([self._ours], [], [], left)[0]:
                with contextlib.suppress(OSError):  # it has ended
                    os.read(self._ours, 1 << 20)

    def ended(self, patience: float = _PATIENCE) -> None:
        """Read and forget until the program has ended by itself."""
        end = perf_counter() + patience
        while self._process.poll() is None:
            if perf_counter() > end:
                raise Silent("it did not end")
            self.idle(0.05)

    def resident_mb(self, what: str = "VmRSS") -> float:
        """Resident memory now, or its peak (`VmHWM`), in MB of a million bytes."""
        return status_mb(self.pid, what)

    def processor_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def _read(self, end: float, texts: Sequence[bytes]) -> None:
        left = end - perf_counter()
        if left <= 0 or not select.select([self._ours], [], [], left)[0]:
            raise Silent(f"waited in vain for {texts!r}; painted: {self.painted[-400:]!r}")
        try:
            self.painted += os.read(self._ours, 1 << 20)
        except OSError as error:
            raise Silent(f"it ended while {texts!r} was waited for: {self.painted[-2000:]!r}") from error


def status_mb(pid: int, what: str = "VmRSS") -> float:
    """A line of a process' memory, in MB of a million bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024 / 1e6


def python(*arguments: str) -> list[str]:
    """A command of this very interpreter."""
    return [sys.executable, *arguments]


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
