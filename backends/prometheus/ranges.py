"""The range queries behind a node's charts, and their answers as lines on one grid.

One node, four metrics, some hundred points each: 8 GPUs over an hour take Prometheus 10 ms. What a GPU can't be is left out
inside the query, as in `queries`. A step longer than a scrape is the mean of what lies in it (the maximum for a temperature),
so that a short peak shows; a step in which nothing was scraped has no point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from backends.prometheus import recorded
from backends.prometheus.answers import Row, Series
from backends.prometheus.gpu_series import device_of, numbers_of
from backends.prometheus.queries import Shape, at_hosts, on_hosts
from fleet import sentinels
from fleet.history import Line, Metric, Span
from fleet.text import clean

_SCRAPES = 15
"""Seconds between the points that a longer step is made of."""

_BY = ("gpu", "UUID", "uuid", "GPU_I_ID")
_MOST_LINES = 128  # 8 GPUs of 7 instances are 64
_TEXT_LIMIT = 60

_RECORDED = {
    Metric.UTIL: ("gpu_util", "mean", 1),
    Metric.TEMP: ("gpu_temp_max", "hottest", 1),
    Metric.POWER: ("power_watts", "all", 1),
    Metric.MEMORY: ("fb_used_ratio", "all", 100),
}
"""What of a node is recorded, the line's name, and its factor; for a Prometheus that keeps no raw series so long."""


def of_gpus(shape: Shape, host: str, matchers: Mapping[str, str], span: Span) -> Mapping[Metric, str]:
    """PromQL of each metric by GPU and MIG instance of one host."""
    by = ",".join(_BY)

    def seen(metric: str, more: str = "") -> str:
        return f"max by ({by}) ({' or '.join(on_hosts(metric, shape, [host], matchers, more))})"

    used, free = seen(sentinels.FB_USED), seen(sentinels.FB_FREE)
    reserved = f"({seen(sentinels.FB_RESERVED)} or {used} * 0)"
    engine = seen(sentinels.ENGINE_ACTIVE, ',GPU_I_ID!=""')
    asked = {
        Metric.UTIL: f"{seen(sentinels.GPU_UTIL)} or 100 * {engine}",
        Metric.TEMP: seen(sentinels.GPU_TEMP),
        Metric.POWER: seen(sentinels.POWER_USAGE),
        Metric.MEMORY: f"100 * {used} / ({used} + {free} + {reserved})",
    }
    return {metric: _over(query, metric, span) for metric, query in asked.items()}


def of_node(shape: Shape, host: str, matchers: Mapping[str, str], span: Span) -> Mapping[Metric, str]:
    """PromQL of each metric of one host as the site records it."""
    asked = {}
    for metric, (field, _, factor) in _RECORDED.items():
        how = "max" if metric is not Metric.POWER else "sum"
        each = [at_hosts(recorded.name_of(field), label, [host], matchers) for label in shape.labels]
        asked[metric] = _over(f"{how} ({' or '.join(each)}) * {factor}", metric, span)
    return asked


def lines_of(metric: Metric, series: Sequence[Series], end: datetime, span: Span) -> tuple[Line, ...]:
    """Lines by GPU in order, or the node's one line by what is recorded.

    A GPU that got another number in a reboot is one line under its last one; what another GPU showed under that number
    before it came (a leftover, one that was replaced) fills its gaps.
    """
    numbers = numbers_of(series)
    lines: dict[str, list[float | None]] = {}
    for each in sorted(series, key=lambda each: each.values[-1][0] if each.values else 0.0, reverse=True):
        number, instance = numbers[device_of(each.metric)], device_of(each.metric)[1]
        name = _name(number, instance) or _RECORDED[metric][1]
        if name not in lines and len(lines) >= _MOST_LINES:
            continue
        points = lines.setdefault(name, [None] * span.steps)
        for at, text in each.values:
            place = span.steps - 1 - round((end.timestamp() - at) / span.step.total_seconds())
            value = _number(text)
            if value is not None and 0 <= place < span.steps and points[place] is None:
                points[place] = value
    return tuple(Line(name, tuple(lines[name])) for name in sorted(lines, key=_order))


def slowdown(shape: Shape, host: str, matchers: Mapping[str, str]) -> str:
    """Where the node's most delicate GPU slows down."""
    return f"min ({' or '.join(on_hosts(sentinels.TEMP_SLOWDOWN, shape, [host], matchers))})"


def number_of(rows: Sequence[Row]) -> float | None:
    """The one value of an answer, if it has one."""
    return next((value for row in rows if (value := _number(row.value[1])) is not None), None)


def _over(query: str, metric: Metric, span: Span) -> str:
    seconds = int(span.step.total_seconds())
    if seconds <= _SCRAPES:
        return query
    how = "max" if metric is Metric.TEMP else "avg"
    return f"{how}_over_time(({query})[{seconds}s:{_SCRAPES}s])"


def _name(gpu: str, instance: str) -> str:
    return clean(f"{gpu}.{instance}" if instance else gpu, _TEXT_LIMIT)


def _order(name: str) -> tuple[bool, int, int, str]:
    gpu, _, instance = name.partition(".")
    return (
        not gpu.isdecimal(),
        int(gpu) if gpu.isdecimal() else 0,
        int(instance) if instance.isdecimal() else -1,
        name,
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
