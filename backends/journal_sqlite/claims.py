"""Which operations a live program runs: one locked file each. The kernel lets go of the lock with the program, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from fleet.errors import Conflict


class Claims:
    """Claims in the folder `path`, made at the first one. Raises OSError.

    Whoever claims, gives up or only looks does it behind one lock for all, held for an instant, so that a look is never taken
    for an owner.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[str, int] = {}

    def claim(self, operation: str, owner: str) -> None:
        """Take the operation. Raises Conflict where a live program, this one too, has it."""
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            found = os.open(self._file(operation), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not _lock(found):
                says = _read(found)
                os.close(found)
                raise Conflict(f"{says} runs it", about=operation)
            os.ftruncate(found, 0)
            os.pwrite(found, f"{owner} (pid {os.getpid()})".encode(errors="replace"), 0)
            self._held[operation] = found

    def release(self, operation: str) -> None:
        """Give the operation up, where we have it."""
        found = self._held.pop(operation, None)
        if found is not None:
            with self._alone():
                self._file(operation).unlink(missing_ok=True)
                os.close(found)

    def release_all(self) -> None:
        for operation in tuple(self._held):
            self.release(operation)

    def owner(self, operation: str) -> str | None:
        """Who runs it now; None where nobody does."""
        if operation in self._held:
            return _read(self._held[operation])
        if not self._file(operation).exists():
            return None
        with self._alone():
            try:
                found = os.open(self._file(operation), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            try:
                return None if _lock(found) else _read(found)
            finally:
                os.close(found)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _file(self, operation: str) -> Path:
        return self._path / hashlib.sha256(operation.encode(errors="replace")).hexdigest()[:32]


def _lock(found: int) -> bool:
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(found: int) -> str:
    return os.pread(found, 200, 0).decode(errors="replace") or "another program"
