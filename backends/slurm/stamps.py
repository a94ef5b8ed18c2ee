"""Times as our own notes keep them: UTC, to the second. A time that can't be read is no time."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(at: datetime | None) -> str:
    """`at` as text; empty where there is none."""
    return at.astimezone(UTC).isoformat(timespec="seconds") if at else ""


def read_stamp(text: str) -> datetime | None:
    """The time in `text`, in UTC; None where there is none that can be read."""
    try:
        read = datetime.fromisoformat(text)
        return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
