"""The site's rules as one value: categories, brakes, key prefix, which XIDs forbid. Built from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from fleet.category import Category

DEFAULT_FORBIDDEN_XIDS = frozenset(
    {46, 48, 54, 62, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158}
)
"""XIDs that keep a gate closed by default: NVIDIA's catalogue asks for a reset, a reboot or a mechanical check."""

TYPED_CONFIRMATION_ABOVE = 10
"""More nodes than this need the count typed, and run in waves."""

FAILURES_THAT_STOP = 3
"""After so many failed nodes an operation starts no new node."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`prefix` begins every key we write (`node.lab/`). `categories` by name; one not named has the defaults."""

    prefix: str = "node.lab/"
    categories: Mapping[str, Category] = field(default_factory=dict)
    forbidden_xids: frozenset[int] = DEFAULT_FORBIDDEN_XIDS
    telemetry_fresh: timedelta = timedelta(minutes=2)
    max_parallel: int = 10
    read_only: bool = False

    def category(self, name: str) -> Category:
        return self.categories.get(name) or Category(name)
