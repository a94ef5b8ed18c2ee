"""Past XIDs of one node's GPUs, from how the gauge of the last XID went over a span.

The gauge keeps its value until the exporter restarts, so that an XID is seen where the value turns, within a step; a repeat of
the same code is not seen; and one that the first sample shows already is of unknown age.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from backends.prometheus.answers import Series
from backends.prometheus.gpu_series import device_of, numbers_of
from backends.prometheus.queries import Shape, on_hosts
from fleet import sentinels
from fleet.joining import NodeNames, name_in
from fleet.node import Node, NodeKey
from fleet.text import clean
from fleet.timeline import Entry, EntryKind, Weight
from fleet.xid import lookup, worst

SOURCE = "prometheus"
SAMPLES = 1_500
"""Of each GPU: a day by the minute, a week by seven."""
SHORTEST = timedelta(seconds=15)
_MOST = 200
"""Turns of one node that are told: a gauge that flaps for a month is no timeline."""


class _Asked(Protocol):
    async def xids_of(self, name: str, since: datetime, until: datetime) -> Sequence[Entry]: ...


class PastXids:
    """A `fleet.ports.Chronicler` of XIDs. `name_of` gives the name that a node's series have."""

    name = "Prometheus"

    def __init__(self, source: _Asked, name_of: Callable[[NodeKey], str]) -> None:
        self._source = source
        self._name_of = name_of

    async def past(self, node: Node, since: datetime, until: datetime) -> Sequence[Entry]:
        """The XIDs that the node's GPUs showed between the two. Raises FleetError."""
        return await self._source.xids_of(self._name_of(node.key), since, until)


def step_of(span: timedelta) -> timedelta:
    """The time between two samples, so that there are not too many."""
    return max(SHORTEST, timedelta(seconds=math.ceil(span.total_seconds() / SAMPLES)))


def of_host(shape: Shape, host: str, matchers: Mapping[str, str]) -> Sequence[str]:
    """The gauge of the host's GPUs, by each label that may name it."""
    return on_hosts(sentinels.XID_ERRORS, shape, [host], matchers)


def told_by(
    series: Sequence[Series], shape: Shape, nodes: NodeNames, host: str, since: datetime, step: timedelta
) -> Sequence[Entry]:
    """The turns of every GPU of the host. Series of one GPU (a code is often a label) are read as one, by its UUID: a code that it
    kept while a reboot gave it another number is no turn.
    """
    ours = [each for each in series if name_in(each.metric, shape.labels, nodes) == host]
    numbers, gpus = numbers_of(ours), dict[tuple[str, str], dict[float, list[int]]]()
    for each in ours:
        gpu = gpus.setdefault(device_of(each.metric), {})
        for at, text in each.values:
            with contextlib.suppress(ValueError, OverflowError):
                gpu.setdefault(at, []).append(int(float(text)))
    named = sorted((numbers[device], samples) for device, samples in gpus.items())
    found = [entry for number, samples in named for entry in _turns(number, samples, since, step)]
    return found[-_MOST:]


def _turns(
    gpu: str, samples: Mapping[float, Sequence[int]], since: datetime, step: timedelta
) -> Iterator[Entry]:
    where = f" on GPU {clean(gpu, 60)}" if gpu else ""
    before: tuple[float, int] | None = None
    for at, codes in sorted(samples.items()):
        code = worst(codes) or 0
        if code and before is None:
            early = at - since.timestamp() <= step.total_seconds()
            how = f"shown already at {since:%m-%d %H:%M} UTC" if early else "shown by its first sample"
            yield _entry(None, f"{lookup(code).label}{where}, {how}, age unknown")
        elif code and before is not None and code != before[1]:
            within = timedelta(seconds=at - before[0])
            yield _entry(datetime.fromtimestamp(at, UTC), f"{lookup(code).label}{where}", within)
        before = at, code


def _entry(at: datetime | None, says: str, within: timedelta = timedelta(0)) -> Entry:
    return Entry(at, EntryKind.XID, says, SOURCE, weight=Weight.BAD, within=within)
