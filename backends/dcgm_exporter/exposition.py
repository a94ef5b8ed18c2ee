"""Reads the Prometheus text format, as tolerantly as exporters write it and fast enough for a fleet on one page.

Written against the text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). A page repeats each GPU's
labels for every metric, so a label block is parsed once and its dictionary handed out again.
"""

from __future__ import annotations

import io
import re
from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

from fleet.errors import Garbled
from fleet.text import clean

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_.]*)\s*=\s*"([^"\\]*(?:\\.[^"\\]*)*)"\s*(?:,|\Z)')
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "\\": "\\", '"': '"'}
_SHOWN = 60


class Sample(NamedTuple):
    """One line: `labels` is shared between samples that carry the same ones; `at_ms` is the line's own time, mostly None."""

    metric: str
    labels: Mapping[str, str]
    value: float
    at_ms: float | None


class _Unreadable(ValueError):
    """A line is not the text format."""


def read_page(page: str, wanted: Container[str], about: str = "") -> Iterator[Sample]:
    """The wanted metrics' samples of a page, in its order; NaN and infinities come as they are.

    Raises Garbled, naming `about` and the line, where the page is something else (a login page) or was cut off.
    """
    blocks: dict[str, dict[str, str]] = {}
    names: set[str] = set()
    for number, line in enumerate(io.StringIO(page.removeprefix("\ufeff")), start=1):
        text = line.strip()
        if not text or text[0] == "#":
            continue
        try:
            sample = _sample(text, wanted, blocks, names)
        except _Unreadable as error:
            shown = clean(text, _SHOWN)
            raise Garbled(f"line {number} is not a metric ({error}): {shown}", about=about) from error
        if sample is not None:
            yield sample


def _sample(
    text: str, wanted: Container[str], blocks: dict[str, dict[str, str]], names: set[str]
) -> Sample | None:
    head, brace, rest = text.partition("{")
    if brace:
        metric = head.rstrip()
        block, closed, tail = rest.rpartition("}")
        if not closed:
            raise _Unreadable("its labels do not end")
    else:
        metric, _, tail = text.replace("\t", " ").partition(" ")
        block = ""
    if metric not in names:
        if not _NAME.match(metric):
            raise _Unreadable("no metric has that name")
        names.add(metric)
    if metric not in wanted and brace:
        return None
    value, at_ms = _numbers(tail)
    if metric not in wanted:
        return None
    labels = blocks.get(block)
    if labels is None:
        labels = blocks[block] = _labels(block)
    return Sample(metric, labels, value, at_ms)


def _numbers(tail: str) -> tuple[float, float | None]:
    parts = tail.split()
    if not 1 <= len(parts) <= 2:
        raise _Unreadable("a value is missing")
    try:
        return float(parts[0]), float(parts[1]) if len(parts) > 1 else None
    except ValueError:
        raise _Unreadable("its value is no number") from None


def _labels(block: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    at, end = 0, len(block.rstrip())
    while at < end:
        found = _LABEL.match(block, at)
        if found is None:
            raise _Unreadable("its labels can't be read")
        name, value = found.groups()
        labels[name] = _ESCAPED.sub(_unescape, value) if "\\" in value else value
        at = found.end()
    return labels


def _unescape(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[1], found[0])
