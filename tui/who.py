"""Who acts, and whether somebody else of this machine still does."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path


def owner() -> str:
    """Who acts, as it is written on nodes: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def lives(process: int) -> bool:
    """Whether a process of this machine is there, whoever's it is. One that has ended and was not collected is not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return not _ended(process)


def _ended(process: int) -> bool:
    """Whether it is a zombie, as Linux's /proc tells (proc(5): the state follows the name, which may hold anything)."""
    try:
        told = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return False
    return told.rpartition(b")")[2].split()[:1] == [b"Z"]
