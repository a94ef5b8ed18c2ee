"""Writes a note to a new file, whatever is there already: an incident's note is never written over."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_TRIES = 100


def write_new(text: str, about: str, now: datetime, folder: Path | None = None) -> Path:
    """Write `text` to `timeline-ABOUT-TIME.md` in the folder (the current one), under the first such name that is free.

    Returns its whole path. Raises OSError.
    """
    stem = f"timeline-{_ODD.sub('-', about).strip('-.')[:80] or 'node'}-{now:%Y%m%dT%H%M%SZ}"
    folder = (folder or Path()).resolve()
    for number in range(1, _TRIES):
        file = folder / f"{stem}{'' if number == 1 else f'-{number}'}.md"
        try:
            with file.open("x", encoding="utf-8") as opened:
                opened.write(text)
        except FileExistsError:
            continue
        return file
    raise FileExistsError(f"{stem}.md and {_TRIES - 2} more of its name are there")
