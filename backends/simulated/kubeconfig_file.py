"""Writing the simulator's kubeconfig where it was asked for, and never over a file that somebody else wrote."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

MARK = "# Written by quarterdeck for a simulated fleet, which may replace it."


class NotOurs(Exception):
    """The file is there and was not written by the simulator; the text names it."""


def write_kubeconfig(path: Path, text: str) -> None:
    """Put `text` at `path`, readable by its owner alone, whole or not at all.

    Raises NotOurs where another file is there, and OSError where it can't be written.
    """
    check_kubeconfig(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{MARK}\n{text}\n")
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def check_kubeconfig(path: Path) -> None:
    """Raise NotOurs where `path` is something that the simulator did not write."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise NotOurs(f"{path} is not a plain file; choose another place for the kubeconfig")
    if path.exists() and not path.read_bytes().startswith(MARK.encode()):
        raise NotOurs(f"{path} was not written by the simulator and is left alone; choose another place")
