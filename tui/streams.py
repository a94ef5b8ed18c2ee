"""Makes the standard streams fit for words from anywhere: a closed one swallows, and no locale can't say a degree sign."""

from __future__ import annotations

import io
import locale
import os
import sys
from pathlib import Path

NOWHERE = Path(os.devnull)


def settle() -> None:
    """Stand in for what the caller closed, and write, or read, what the terminal's encoding lacks as an escape."""
    if sys.stdin is None:
        sys.stdin = NOWHERE.open(encoding="utf-8")
    if sys.stdout is None:
        sys.stdout = NOWHERE.open("w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = NOWHERE.open("w", encoding="utf-8")
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def says_everything() -> bool:
    """Whether stdout's encoding has every character, so that JSON needs no escapes."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def lacking(letters: str) -> str:
    """The encoding that lacks one of `letters`: of the locale, or of stderr, which is drawn on. Empty where both have all.

    Python's own streams are UTF-8 under LC_ALL=C, whatever the terminal is.
    """
    drawn_on = sys.__stderr__.encoding if sys.__stderr__ is not None else "utf-8"
    for encoding in (locale.getencoding(), drawn_on):
        try:
            letters.encode(encoding)
        except (UnicodeEncodeError, LookupError):
            return encoding
    return ""


def at_a_terminal() -> bool:
    """Whether there is a terminal to draw on and to be typed at. Textual draws on stderr."""
    return all(stream is not None and stream.isatty() for stream in (sys.__stdin__, sys.__stderr__))
