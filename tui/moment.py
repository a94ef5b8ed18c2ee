"""A time to come as a person types it: how long from now, or until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tui.toml_section import span


def moment(text: str) -> timedelta | datetime:
    """`4h`, `90m`, or `2026-03-01T09:30Z`; a moment without a zone is in UTC, as every time here is. Raises ValueError."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        found = span(text)
        if found <= timedelta(0):
            raise ValueError("must be more than nothing") from None
        return found
    return at if at.tzinfo else at.replace(tzinfo=UTC)
