"""The way in. Where a screen is going to open it says so at once, before anything is imported, and hands over to the command line.

The line ends without a new one: whatever is said instead stands over it, and a dashboard clears it with `withdraw`.
"""

from __future__ import annotations

import os
import sys

PRINTING = frozenset(
    (
        "audit",
        "cancel",
        "doctor",
        "drift",
        "gate",
        "nodes",
        "operations",
        "plan",
        "provision",
        "resume",
        "run",
        "sim",
        "timeline",
        "xid",
    )
)
"""The commands that open no screen. One that is missing here is greeted in vain, and does no worse."""

_ASKING = frozenset(("-h", "--help", "--version", "--auto", "list"))
_OPENING, _CLEAR = "quarterdeck: opening\r", "\r\x1b[K"


def main() -> None:
    """Greet, and do what was asked."""
    if _can_clear() and not (PRINTING | _ASKING).intersection(sys.argv[1:]):
        _say(_OPENING)
    from tui.cli import main as do

    do()


def withdraw() -> None:
    """Clear the line that `main` may have written."""
    if _can_clear():
        _say(_CLEAR)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _can_clear() -> bool:
    """Whether stderr, on which a dashboard draws, is a terminal that can clear a line."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


if __name__ == "__main__":
    main()
