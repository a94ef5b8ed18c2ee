"""Reads what NCCL's `all_reduce_perf` printed (nccl-tests 2.x), with whatever else stands around it, against a bandwidth.

The bandwidth is that of one node over NVLink, at the largest size. What is not told by the table itself is UNKNOWN. The columns are
those of nccl-tests on GitHub (`src/common.cu`, later `src/util.cu`), with what its options and later versions put behind them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from backends.diagnostics.reading import Reading, said_around
from fleet.health import Verdict
from fleet.text import clean

FLOORS: tuple[tuple[re.Pattern[str], int, float, str], ...] = (
    (re.compile(r"H100.*PCIe|H100-PCIE", re.IGNORECASE), 8, 35.0, "alayanew reference, H100 PCIe"),
    (re.compile(r"\bH100", re.IGNORECASE), 8, 460.0, "Azure check_nccl_allreduce, ND H100 v5"),
    (re.compile(r"\bH200", re.IGNORECASE), 8, 431.0, "Azure check_nccl_allreduce, ND H200 v5"),
    (re.compile(r"\bA100(?!.*PCIe)", re.IGNORECASE), 8, 228.0, "Azure check_nccl_allreduce, ND A100 v4"),
)
"""By GPU product and GPUs in the node: GB/s of bus bandwidth at 16 GB, and whose floor it is."""

_TAG = re.compile(r"^(?:\[\d+,\d+\](?:<std(?:out|err)>)?:?\s*|\s*\d{1,4}:\s+)")
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)"
_VALUE = re.compile(rf"{_NUMBER}|N/A", re.IGNORECASE)
_STAMP = re.compile(r"\s\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\s*$")
_COLUMNS: Mapping[int, tuple[int, int, int]] = {
    12: (4, 4, 8),
    13: (5, 5, 9),
    14: (5, 5, 9),
    21: (5, 5, 13),
    22: (5, 5, 13),
}
"""By how many words a row has: where its values begin, those out of place, those in place.

A row is size, count, type, operation, root (not in the oldest), then time, algbw, busbw and #wrong each way. Each way has four more
where every iteration is timed; the number of iterations may stand at the end.
"""
_DEVICE = re.compile(r"#?\s*Rank\s+(\d+)\s.*?device\s+\d+\s+\[[^\]]*\]\s*(.*)$", re.IGNORECASE)
_LARGEST = re.compile(r"maxBytes:?\s+(\d+)", re.IGNORECASE)
_BAD_VALUES = re.compile(r"Out of bounds values\s*:\s*(\d+)\s*(\w*)", re.IGNORECASE)
_AVERAGE = re.compile(rf"Avg bus bandwidth\s*:\s*({_NUMBER}|N/A)[ \t]*(\w*)", re.IGNORECASE)
_BROKE = re.compile(
    r"Test (?:NCCL|CUDA) failure|Invalid number of GPUs|NCCL WARN|CUDA failure|Test failure", re.IGNORECASE
)
_AROUND = 200
_FASTER = "finding the slow GPU, link or setting (NVLink, PCIe ACS, clocks), then a run that reaches it"
_FAILURE = re.compile(r"Test (?:(?:NCCL|CUDA) )?failure", re.IGNORECASE)
"""What the program says when it gives up: a wrapper may have lost its exit. A warning of NCCL is not that."""


@dataclass(frozen=True, slots=True)
class _Row:
    size: int
    bandwidths: tuple[float, float]  # out of place, in place; nan where it is none
    wrong: tuple[float, float]  # nan where the results were not checked


@dataclass(frozen=True, slots=True)
class _Table:
    rows: tuple[_Row, ...]
    ranks: int
    models: frozenset[str]
    largest: int | None
    ended: bool
    bad_values: bool
    too_slow: bool  # by the least that the site told the program itself, in NCCL_TESTS_MIN_BW

    @property
    def top(self) -> list[_Row]:
        """The rows of the largest size, one a table where several ranks printed theirs."""
        size = max((row.size for row in self.rows), default=0)
        return [row for row in self.rows if row.size == size]


def floor(model: str, gpus: int) -> tuple[float, str] | None:
    """GB/s that a node of so many of these GPUs must reach, and whose number it is; None where nobody published one."""
    for pattern, count, least, source in FLOORS:
        if pattern.search(model):
            return (least, source) if count == gpus else None
    return None


def read_allreduce(
    output: str, *, exit_code: int | None, gpus: int, model: str = "", limit: float | None = None
) -> Reading:
    """What a run of all_reduce_perf came to on a node of so many GPUs. `limit` is GB/s, over the published floor."""
    table = _table(output)
    shown = next(iter(sorted(table.models)), "") or model
    published = floor(shown, gpus)
    least = limit if limit is not None else published[0] if published else None
    whose = "the category's limit" if limit is not None else published[1] if published else ""
    wants = f"at least {least:g} GB/s ({whose})" if least is not None else "a limit"
    wrong = [row for row in table.rows if any(count > 0 for count in row.wrong)]
    if wrong or table.bad_values:
        value = f"wrong results at {wrong[0].size:,} bytes" if wrong else "values out of bounds"
        return Reading(Verdict.FAIL, value, "no wrong result", "finding the GPU or link that corrupts data")
    if table.too_slow:
        return Reading(Verdict.FAIL, _slow(output), "what NCCL_TESTS_MIN_BW says, on average", _FASTER)
    doubt = _doubt(table, output, exit_code, gpus)
    if doubt:
        return Reading(Verdict.UNKNOWN, clean(doubt, 300), wants, "a run over every GPU that ends by itself")
    worst = min(min(row.bandwidths) for row in table.top)
    value = f"{worst:g} GB/s at {_size(table.top[0].size)} over {table.ranks} GPUs"
    if least is None:
        known = f"{gpus} × {shown}" if shown else f"{gpus} GPUs of a model that is not known"
        says = f"{value}; no floor is known for {known}"
        return Reading(Verdict.UNKNOWN, clean(says, 300), wants, "a limit for this check in the category")
    if worst < least:
        return Reading(Verdict.FAIL, value, wants, _FASTER)
    if any(math.isnan(count) for row in table.top for count in row.wrong):
        return Reading(
            Verdict.WARN, f"{value}; results not checked (#wrong N/A)", wants, "a run that checks its results"
        )
    return Reading(Verdict.PASS, value, wants)


def _doubt(table: _Table, output: str, exit_code: int | None, gpus: int) -> str:
    """Why the table can't be believed; empty where it can."""
    broke = said_around(_BROKE, output, _AROUND)
    ended = "" if exit_code in (0, None) else f"exit {exit_code}"
    if ended:
        return "; ".join(part for part in (ended, broke) if part)
    if not table.rows:
        return broke or "it printed no result"
    failure = said_around(_FAILURE, output, _AROUND)
    if failure:
        return failure
    if any(not math.isfinite(value) for row in table.top for value in row.bandwidths):
        return f"the bandwidth at {_size(table.top[0].size)} is no number"
    if table.largest is not None and table.top[0].size < table.largest:
        return f"it ends at {_size(table.top[0].size)} of {_size(table.largest)}"
    if not table.ended:
        return "it breaks off before its last line (Avg bus bandwidth)"
    if exit_code is None:
        return "how it ended is not known"
    if not table.ranks:
        return "it does not say which GPUs took part"
    return f"it ran on {table.ranks} of {gpus} GPUs" if table.ranks < gpus else ""


def _table(output: str) -> _Table:
    lines = [_TAG.sub("", line) for line in output.splitlines()]
    rows = tuple(row for line in lines if (row := _row(line)) is not None)
    devices = {int(found[1]): found[2] for line in lines if (found := _DEVICE.search(line[:400])) is not None}
    sizes = [int(size) for size in _LARGEST.findall(output)]
    averages = _AVERAGE.findall(output)
    return _Table(
        rows,
        len(devices),
        frozenset(clean(name, 80) for name in devices.values() if name.strip()),
        max(sizes, default=None),
        bool(averages),
        any(int(count) > 0 or word.upper() == "FAILED" for count, word in _BAD_VALUES.findall(output)),
        any(word.upper() == "FAILED" for _, word in averages),
    )


def _slow(output: str) -> str:
    """The averages that the program itself found too low."""
    low = [value for value, word in _AVERAGE.findall(output) if word.upper() == "FAILED"]
    return clean(f"{', '.join(low[:3])} GB/s on average", 100)


def _row(line: str) -> _Row | None:
    words = _STAMP.sub("", line).split() if len(line) <= 400 else []
    if len(words) not in _COLUMNS or not (words[0].isdecimal() and words[1].isdecimal()):
        return None
    first, out, within = _COLUMNS[len(words)]
    if not all(_VALUE.fullmatch(word) for word in words[first:]):
        return None
    bandwidths = (_number(words[out + 2]), _number(words[within + 2]))
    return _Row(int(words[0]), bandwidths, (_number(words[out + 3]), _number(words[within + 3])))


def _number(text: str) -> float:
    return math.nan if text.upper() == "N/A" else float(text)


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:g} {unit}"
        count /= 1024
    return f"{count:g} GiB"
