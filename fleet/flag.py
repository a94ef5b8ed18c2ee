"""A flag on a node in service: a passive check that it has begun to fail, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, order=True)
class Flag:
    """One check that fails. `value` is what it last showed."""

    check: str
    value: str
    since: datetime
