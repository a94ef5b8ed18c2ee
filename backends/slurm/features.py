"""Finds a node's category and image in its features, by patterns that a site may set, else in its partition and its OS."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from fleet.node import Image
from fleet.policy import Policy
from fleet.text import clean

CATEGORY_PATTERNS = (r"^category[=-](.+)$",)
IMAGE_PATTERNS = (r"^image[=_-](.+)$",)
"""Tried over a node's active features where the site sets none. The first group is the value."""

FEATURE = "feature"
PARTITION = "partition"
OS = "OS"


@dataclass(frozen=True)
class NodeReading:
    """How a site's nodes are read. The patterns are regular expressions over one feature each, tried in their order.

    `health_checks` is how the Reasons begin that the site's own HealthCheckProgram writes.
    """

    policy: Policy = field(default_factory=Policy)
    category_patterns: Sequence[str] = ()
    image_patterns: Sequence[str] = ()
    health_checks: Sequence[str] = ()

    @cached_property
    def categories(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(pattern) for pattern in self.category_patterns or CATEGORY_PATTERNS)

    @cached_property
    def images(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(pattern) for pattern in self.image_patterns or IMAGE_PATTERNS)

    def category_of(self, features: str, partitions: str) -> tuple[str, str]:
        """The category and where it is from. Of several partitions, one that is configured goes first."""
        found = _matched(features, self.categories)
        if found:
            return found, FEATURE
        names = [name for name in partitions.split(",") if name]
        named = next((name for name in names if name in self.policy.categories), names[0] if names else "")
        return (clean(named, 120), PARTITION) if named else ("", "")

    def image_of(self, features: str, system: str, category: str, wanted: str) -> Image:
        """The image that the node itself shows, and the one wanted: by a reimage under way, else of its category."""
        policy = self.policy
        desired = wanted or policy.categories.get(category, policy.any_other).desired_image or None
        found = _matched(features, self.images)
        if found:
            return Image(found, FEATURE, desired)
        running = _kernel(system)
        return Image(running, OS, desired) if running else Image(desired=desired)


def _matched(features: str, patterns: tuple[re.Pattern[str], ...]) -> str:
    """The value in the first feature that a pattern fits; the first pattern is tried on all of them first."""
    names = features.split(",") if features else ()
    for pattern in patterns:
        for name in names:
            found = pattern.search(name)
            if found and found[1]:
                return clean(found[1], 300)
    return ""


@lru_cache(maxsize=4096)
def _kernel(system: str) -> str:
    """`Linux 5.15.0-58-generic` of an OS text that goes on with its build."""
    return clean(" ".join(system.split(" ")[:2]), 200)
