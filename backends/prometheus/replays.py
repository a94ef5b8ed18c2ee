"""How the PCIe replay counters of one node's GPUs went lately: asked for at a gate, a sample a minute of a few GPUs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from backends.prometheus.answers import Series
from backends.prometheus.gpu_series import device_of
from backends.prometheus.queries import Shape, on_hosts
from fleet import sentinels
from fleet.joining import NodeNames, name_in
from fleet.telemetry import Replays

STEP = timedelta(minutes=1)


def of_host(shape: Shape, host: str, matchers: Mapping[str, str]) -> Sequence[str]:
    """The counters of the host's GPUs, by each label that may name it."""
    return on_hosts(sentinels.PCIE_REPLAYS, shape, [host], matchers)


def counted(
    series: Iterable[Series], shape: Shape, nodes: NodeNames, host: str, behind: timedelta
) -> Replays:
    """The samples of each GPU of the host by its UUID, `behind` being how far Prometheus' clock is behind ours.

    Where several series are of one GPU, that which goes on longest is taken, and from before it began those that ended: two
    exporters a scrape apart, read as one counter, would seem to begin anew again and again.
    """
    found: dict[str, list[Series]] = {}
    for each in series:
        if each.values and name_in(each.metric, shape.labels, nodes) == host:
            found.setdefault(device_of(each.metric)[0], []).append(each)
    return {gpu: _in_a_row(same, behind) for gpu, same in found.items()}


def _in_a_row(series: Iterable[Series], behind: timedelta) -> Sequence[tuple[datetime, float]]:
    samples: list[tuple[float, float]] = []
    for each in sorted(series, key=lambda each: (each.values[-1][0], len(each.values)), reverse=True):
        before = samples[0][0] if samples else float("inf")
        samples[:0] = [(at, value) for at, value in _values(each) if at < before]
    return [(datetime.fromtimestamp(at, UTC) + behind, value) for at, value in samples]


def _values(series: Series) -> Iterator[tuple[float, float]]:
    for at, text in series.values:
        with contextlib.suppress(ValueError):
            value = sentinels.reading(sentinels.PCIE_REPLAYS, float(text))
            if value is not None:
                yield at, value
