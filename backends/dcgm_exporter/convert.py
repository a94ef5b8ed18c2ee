"""Turns an exporter's page into rows of GPUs by node, finding out whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from backends.dcgm_exporter.exposition import Sample, read_page
from fleet.gpu_rows import METRICS, GpuRows
from fleet.joining import CANDIDATES, NodeNames, choose_labels, name_in
from fleet.telemetry import GpuTelemetry

Rows = Mapping[str, Sequence[GpuTelemetry]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FURTHEST_MS = 2.5e14  # the year 9892: later ones come from broken exporters only


def rows_of_page(page: str, url: str, host: str, nodes: NodeNames, at: datetime) -> Rows:
    """Rows by node of a page that may hold many nodes. A page whose labels name no node is its `host`'s.

    Raises Garbled naming `url` and the line.
    """
    samples = list(read_page(page, METRICS, url))
    distinct: dict[tuple[str | None, ...], Mapping[str, str]] = {}
    for labels in {id(sample.labels): sample.labels for sample in samples}.values():
        named = labels if "instance" in labels else {**labels, "instance": host}
        distinct.setdefault(tuple(map(named.get, CANDIDATES)), named)
    chosen = choose_labels(tuple(distinct.values()), nodes)

    def whose(labels: Mapping[str, str]) -> str:
        named = labels if "instance" in labels else {**labels, "instance": host}
        return name_in(named, chosen, nodes) or host

    return _gathered(samples, GpuRows(whose), at)


def rows_of_node(page: str, url: str, node: str, at: datetime) -> Rows:
    """Rows of a page that is one node's, whatever its labels say. Raises Garbled naming `url` and the line."""
    return _gathered(list(read_page(page, METRICS, url)), GpuRows(partial(_always, node)), at)


def _always(node: str, _labels: Mapping[str, str]) -> str:
    return node


def _gathered(samples: Sequence[Sample], rows: GpuRows, at: datetime) -> Rows:
    for metric, labels, value, at_ms in samples:
        rows.add(metric, labels, value, None if at_ms is None else _moment(at_ms))
    return rows.by_node(at)


def _moment(at_ms: float) -> datetime | None:
    return _EPOCH + timedelta(milliseconds=at_ms) if 0 < at_ms < _FURTHEST_MS else None
