"""The order people expect of names that hold numbers: gpu-2 before gpu-10."""

from __future__ import annotations

import re

_NUMBER = re.compile("[0-9]+")
_LONGEST = 16


def natural(text: str) -> str:
    """A string that sorts as `text` does when its runs of digits count as numbers (of up to 16 digits).

    Each run is written without leading zeros and led by its length: a longer number is a larger one. Two texts that
    differ only by leading zeros have the same key.
    """
    return _NUMBER.sub(_with_length, text)


def _with_length(run: re.Match[str]) -> str:
    digits = run[0].lstrip("0") or "0"
    return chr(0x30 + min(len(digits), _LONGEST)) + digits
