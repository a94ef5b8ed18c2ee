"""Slurm's short form of many names, `gpu[01-04,7],login1`, written out. Leading zeros count as they are written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import lru_cache

LIMIT = 200_000
"""So many names are written out of one list; what is beyond was not meant."""

_NOTHING = frozenset({"", "(null)", "None", "none", "None assigned", "n/a"})
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"(\d{1,12})(?:-(\d{1,12}))?\Z")


@lru_cache(maxsize=4096)
def expand(text: str, limit: int = LIMIT) -> tuple[str, ...]:
    """Every name of a host list, in its order, at most `limit`. What can't be read stays as it is written."""
    if text in _NOTHING:
        return ()
    names = (name for part in _parts(text) for name in _names(part))
    return tuple(itertools.islice(names, limit))


def _parts(text: str) -> Iterator[str]:
    """Split at the commas that stand outside brackets."""
    start = depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]" and depth > 0)
        if letter == "," and not depth:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def _names(part: str) -> Iterator[str]:
    part = part.strip()
    found = _BRACKETS.search(part)
    if found is None:
        if part:
            yield part
        return
    members = list(_members(found[1]))
    if not members:
        yield part
        return
    before, after = part[: found.start()], part[found.end() :]
    for member in itertools.chain.from_iterable(members):
        for rest in _names(after) if after else ("",):
            yield f"{before}{member}{rest}"


def _members(inside: str) -> Iterator[Iterator[str]]:
    for piece in inside.split(","):
        found = _RANGE.match(piece.strip())
        if found is None:
            return
        yield _numbers(found[1], found[2] or found[1])


def _numbers(first: str, last: str) -> Iterator[str]:
    return (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
