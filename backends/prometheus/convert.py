"""Turns Prometheus' rows into the fleet's values: the shape of the series, nodes by host, GPUs by host."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from backends.prometheus.answers import Row
from backends.prometheus.queries import PRESENCE, XID, Shape
from fleet import xid
from fleet.gpu_rows import GpuRows, holder_of
from fleet.idle import holders
from fleet.joining import CANDIDATES, NodeNames, choose_labels, host_of, name_in
from fleet.sentinels import FB_USED, GPU_UTIL
from fleet.telemetry import Alert, GpuTelemetry, NodeTelemetry
from fleet.text import clean

_ALERTS = 20  # of one node that are kept
_TEXT_LIMIT = 120
_FIRST_BEGAN = 1e9  # a smaller value is no time: the alert's own 1

LeftOver = frozenset[tuple[tuple[str | None, ...], str]]

_TOLD_APART = frozenset({"xid", "idle_held"})
"""Fields whose rows of one host are not one number."""

_MERGED: Mapping[str, Callable[[float, float], float]] = {
    "at": min,
    "gpu_util": lambda one, other: (one + other) / 2,
    "gpu_util_min": min,
    "temp_margin_min": min,
}
"""How two rows of one host come together; the larger one counts where nothing else is said."""


def shape_of(rows: Sequence[Row], nodes: NodeNames) -> Shape:
    """Which labels name the nodes, and whether one presence metric is enough to see them all. No labels: nothing to join by."""
    labels = choose_labels([row.metric for row in rows], nodes)
    named = {
        metric: {_key(row, labels) for row in rows if row.metric.get("__name__") == metric}
        for metric in PRESENCE
    }
    return Shape(labels, (FB_USED,) if named[FB_USED] >= named[GPU_UTIL] else PRESENCE)


def left_over(rows: Iterable[Row], shape: Shape, nodes: NodeNames) -> LeftOver:
    """What joins no node, by its labels and its number of GPUs: something new there may be named by another label."""
    host_of_row = _hosts(shape, nodes)
    return frozenset(
        (_key(row, shape.labels), row.value[1])
        for row in rows
        if not (host := host_of_row(row)) or (nodes and not nodes.find(host))
    )


def nodes_of(
    answers: Mapping[str, Sequence[Row]],
    shape: Shape,
    nodes: NodeNames,
    now: datetime,
    severity_of: xid.SeverityOf = xid.default_severity,
) -> dict[str, NodeTelemetry]:
    """Telemetry by host, from the answers to `queries.by_node`. A host without a time is left out: nobody can say how old it is.

    Ages are taken on Prometheus' own clock and counted back from `now`, so that its clock may differ from ours.
    """
    host_of_row = _hosts(shape, nodes)
    fields: dict[str, dict[str, float]] = {}
    for name, rows in answers.items():
        if name in _TOLD_APART:
            continue
        for row in rows:
            host, value = host_of_row(row), _number(row)
            if name == "at" and value is not None:
                value = now.timestamp() - _age(row, value)
            if host and value is not None:
                kept = fields.setdefault(host, {})
                kept[name] = _MERGED.get(name, max)(kept[name], value) if name in kept else value
    codes = _codes(answers.get("xid", ()), host_of_row)
    idle = _idle(answers.get("idle_held", ()), host_of_row)
    return {
        host: _node(values, codes.get(host, {}), idle.get(host), severity_of)
        for host, values in fields.items()
        if "at" in values
    }


def gpus_of(
    raw: Iterable[Row], sampled: Iterable[Row], shape: Shape, nodes: NodeNames, now: datetime
) -> dict[str, tuple[GpuTelemetry, ...]]:
    """Rows of GPUs by host, each with the time of its oldest sample where Prometheus told it."""
    host_of_row = _hosts(shape, nodes)
    times: dict[tuple[str, ...], datetime] = {}
    for row in sampled:
        value = _number(row)
        if value is not None:
            gpu, at = _gpu(row, host_of_row(row)), now - timedelta(seconds=_age(row, value))
            times[gpu] = min(at, times.get(gpu, at))
    rows = GpuRows(lambda labels: name_in(labels, shape.labels, nodes))
    for row in raw:
        metric, value = row.metric.get("__name__", ""), _number(row)
        rows.add(
            metric, row.metric, math.nan if value is None else value, times.get(_gpu(row, host_of_row(row)))
        )
    return rows.by_node()


def codes_of(rows: Iterable[Row], shape: Shape, nodes: NodeNames) -> dict[str, dict[int, float]]:
    """The hosts that show an XID, each with its codes and how many GPUs show each, from the answer to the question `xid`."""
    found = _codes(rows, _hosts(shape, nodes)).items()
    return {
        host: {code: count for code, count in codes.items() if code} for host, codes in found if any(codes)
    }


def alerts_of(rows: Iterable[Row], nodes: NodeNames) -> dict[str, tuple[Alert, ...]]:
    """Firing alerts by the known node's own name, by whichever label names it; one that names none is not a node's."""
    found: dict[str, set[Alert]] = {}
    for row in rows:
        labels = row.metric
        keys = next((keys for label in CANDIDATES if (keys := nodes.find(labels.get(label, "")))), ())
        host = host_of(keys[0].name) if keys else ""
        name = clean(labels.get("alertname", ""), _TEXT_LIMIT)
        if host and name:
            severity = clean(labels.get("severity", ""), _TEXT_LIMIT)
            found.setdefault(host, set()).add(Alert(name, severity, _began(row)))
    return {host: tuple(sorted(alerts, key=_order_of)[:_ALERTS]) for host, alerts in found.items()}


def _began(row: Row) -> datetime | None:
    began = _number(row)
    if began is None or not _FIRST_BEGAN < began <= row.value[0] + 1:
        return None
    return datetime.fromtimestamp(int(began), UTC)


def _order_of(alert: Alert) -> tuple[str, str, str]:
    return alert.name, alert.severity, str(alert.since or "")


def _hosts(shape: Shape, nodes: NodeNames) -> Callable[[Row], str]:
    known: dict[tuple[str | None, ...], str] = {}

    def host_of_row(row: Row) -> str:
        key = _key(row, shape.labels)
        host = known.get(key)
        if host is None:
            host = known[key] = name_in(row.metric, shape.labels, nodes)
        return host

    return host_of_row


def _key(row: Row, labels: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(map(row.metric.get, labels))


def _gpu(row: Row, host: str) -> tuple[str, ...]:
    labels = row.metric
    return (
        host,
        labels.get("gpu", ""),
        labels.get("UUID") or labels.get("uuid", ""),
        labels.get("GPU_I_ID", ""),
    )


def _age(row: Row, sampled: float) -> float:
    """Seconds from a sample to the answer that tells its time; a time before all times is the first."""
    return max(0.0, row.value[0] - max(0.0, sampled))


def _number(row: Row) -> float | None:
    with contextlib.suppress(ValueError):
        if math.isfinite(row.number):
            return row.number
    return None


def _codes(rows: Iterable[Row], host_of_row: Callable[[Row], str]) -> dict[str, dict[int, float]]:
    """XIDs of each host, with how many GPUs show each."""
    codes: dict[str, dict[int, float]] = {}
    for row in rows:
        host, count = host_of_row(row), _number(row)
        with contextlib.suppress(ValueError, OverflowError):
            code = int(float(row.metric.get(XID, "")))
            if host and count is not None:
                codes.setdefault(host, {})[code] = count
    return codes


def _idle(rows: Iterable[Row], host_of_row: Callable[[Row], str]) -> dict[str, dict[str, int]]:
    """Idle GPUs of each host by who holds them; a host whose holders are all busy has none."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        host, count = host_of_row(row), _number(row)
        if host and count is not None:
            by_holder = found.setdefault(host, {})
            if count > 0:
                holder = holder_of(row.metric)
                by_holder[holder] = by_holder.get(holder, 0) + int(count)
    return found


def _flag(value: float | None) -> bool | None:
    return None if value is None else value > 0


def _node(
    values: Mapping[str, float],
    codes: Mapping[int, float],
    idle: Mapping[str, int] | None,
    severity_of: xid.SeverityOf,
) -> NodeTelemetry:
    seen, action = values.get("gpus_seen"), values.get("recovery_action")
    worst = xid.worst(codes, severity_of)
    if worst == 0 and sum(codes.values()) < (seen or 0):
        worst = None  # a GPU did not say
    read: dict[str, Any] = {
        name: values.get(name)
        for name in (
            *("gpu_util", "gpu_util_min", "gpu_util_max", "gpu_temp_max", "temp_margin_min"),
            *("fb_used_ratio", "power_watts", "remapped_rows", "ecc_dbe"),
        )
    }
    return NodeTelemetry(
        at=datetime.fromtimestamp(values["at"], UTC),
        gpus_seen=None if seen is None else int(seen),
        xid=worst,
        xids=tuple((code, 1) for code in sorted(codes) if code),  # two series that show it may be one GPU's
        row_remap_failure=_flag(values.get("row_remap_failure")),
        remap_pending=_flag(values.get("remap_pending")),
        slowed=_flag(values.get("slowed")),
        recovery_action=None if action is None else int(action),
        idle_held=None if idle is None else sum(idle.values()),
        idle_holder=holders(idle or {}),
        **read,
    )
