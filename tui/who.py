"""Who acts, and whether somebody else of this machine still does."""

from __future__ import annotations

import getpass
import os
import socket


def owner() -> str:
    """Who acts, as it is written on nodes: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def lives(process: int) -> bool:
    """Whether a process of this machine is there, whoever's it is."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
