"""The files of the last known fleet, one a source: written whole or not at all, readable by their owner alone."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from backends.last_known_fleet.codec import LARGEST, Header, KeptNode, decode, decode_header, encode
from fleet.errors import Garbled

_PLAIN = re.compile(r"[^A-Za-z0-9.-]+")


class KeptFiles:
    """The files in `folder`, which is made (mode 0700) at the first writing. All of it blocks: call it from a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writing = threading.Lock()

    def path(self, key: str, source: str) -> Path:
        """Where a source's nodes are kept: by its key, with its name in it for people."""
        digest = hashlib.sha256(key.encode(errors="replace")).hexdigest()[:16]
        return self.folder / f"{_PLAIN.sub('_', source)[:60]}-{digest}.fleet"

    def read(self, key: str, source: str) -> tuple[Header, list[KeptNode]] | None:
        """What is kept of a source; None where nothing is. Raises Garbled naming the file."""
        path = self.path(key, source)
        with _named(path):
            content = _content(path)
            if content is None:
                return None
            header, nodes = decode(content)
            if (header.key, header.source) != (key, source):
                raise Garbled("it is another source's")
            return header, nodes

    def name_of(self, key: str) -> str:
        """The name under which the source of this key was last seen; empty where it never was, or can't be told."""
        digest = hashlib.sha256(key.encode(errors="replace")).hexdigest()[:16]
        found = ""
        with contextlib.suppress(OSError, Garbled):
            for path in sorted(self.folder.glob(f"*-{digest}.fleet"), key=lambda path: path.stat().st_mtime):
                header = decode_header(_content(path) or b"")
                found = header.source if header.key == key else found
        return found

    def write(self, header: Header, nodes: Sequence[KeptNode]) -> bool:
        """Keep these in place of what was kept. False where a newer one is there, another program writes, or it is too large.

        Raises OSError, and Garbled for what can't be kept.
        """
        content = encode(header, nodes)
        if len(content) > LARGEST:
            return False
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.path(header.key, header.source)
        with self._writing, _alone(path.with_suffix(".lock")) as mine:
            if not mine or _newer(path, header):
                return False
            _replace(path, content)
            return True


def _newer(path: Path, header: Header) -> bool:
    """Whether the file that is there was seen later: a program that is cut off must not write over one that is not."""
    try:
        content = _content(path)
        return content is not None and decode_header(content).seen > header.seen
    except Garbled:
        return False


def _content(path: Path) -> bytes | None:
    """All of a file. Raises Garbled for one that can't be read or is too large to be ours."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Garbled(f"it can't be read: {error.strerror}") from error
    if len(content) > LARGEST:
        raise Garbled("it is larger than any that is written")
    return content


def _replace(path: Path, content: bytes) -> None:
    """Put `content` in the file's place, durably. The name beside it is always the same, so that a crash leaves one at most."""
    beside = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(file, "wb") as new:  # noqa: PTH123 - a descriptor
            new.write(content)
            new.flush()
            os.fsync(new.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether nobody else writes now: two dashboards on one cluster see the same, so one of them is enough."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(lock)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except Garbled as error:
        raise Garbled(error.message, about=str(path)) from error
