"""Compares a node's slurmd with the controller: it may be of the same release or of one of the two before, never ahead.

Rule: Slurm's upgrade guide ("Compatibility Window"), two releases until 24.05, three from 24.11.
"""

from __future__ import annotations

import re
from functools import lru_cache

_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")
RELEASES = (
    *((17, 2), (17, 11), (18, 8), (19, 5), (20, 2), (20, 11), (21, 8), (22, 5), (23, 2), (23, 11)),
    *((24, 5), (24, 11), (25, 5), (25, 11), (26, 5), (26, 11), (27, 5), (27, 11)),
)


@lru_cache(maxsize=1024)
def differs(slurmd: str, controller: str) -> tuple[str, bool]:
    """How slurmd's version stands to the controller's, in words, and whether that is outside what Slurm supports.

    Nothing is said of the same release, nor of what can't be read; patches within one release may differ.
    """
    node, here = _VERSION.match(slurmd), _VERSION.search(controller)
    if node is None or here is None:
        return "", False
    theirs, ours = (int(node[1]), int(node[2])), (int(here[1]), int(here[2]))
    if theirs == ours:
        return "", False
    if theirs > ours:
        return f"slurmd {node[0]} is ahead of the controller's {here[0]}, which Slurm does not support", True
    behind = _place(ours) - _place(theirs)
    supported = 3 if ours >= (24, 11) else 2
    if behind > supported:
        return f"slurmd {node[0]} is {behind} releases behind the controller's {here[0]}: too far", True
    return f"slurmd {node[0]} is behind the controller's {here[0]}", False


def _place(release: tuple[int, int]) -> int:
    return sum(known <= release for known in RELEASES)
