"""Since when GPUs show the XIDs that they show: asked apart from every reading, for those few GPUs alone, and remembered.

The gauge of the last XID has no time, and keeps its value until the exporter starts anew. Its age is how long ago it turned to what
it shows, within a step. What the window does not reach, and what a gap between scrapes hides, has no age: nobody can tell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from backends.prometheus.answers import Answer, Row, Series
from backends.prometheus.gpu_series import device_of
from backends.prometheus.queries import Shape, at_hosts, exactly, on_hosts, quoted
from backends.prometheus.threads import DaemonThreads
from fleet import sentinels
from fleet.joining import NodeNames, name_in
from fleet.ports import Clock
from fleet.telemetry import GpuTelemetry, NodeTelemetry
from fleet.xid import Severity, SeverityOf, shown_since, worst

WINDOW = timedelta(hours=24)
STEP = timedelta(minutes=1)
"""1,440 samples of each GPU that shows an XID: a hundred GPUs are 3 MB."""

BRIDGED = timedelta(minutes=3)
"""A longer time without a sample may hide that a GPU was reset and came to the same code again."""

HOSTS_AT_ONCE = 25
_GPUS_A_QUERY = 100  # keeps the address of a request below 8 KB
_AGAIN = timedelta(hours=1)  # then even a code that did not change is asked for again
_RESTS = timedelta(minutes=1)  # after a question that failed
_DEAR = 4  # how many times as long as the answers took the next questions wait: others ask Prometheus too

Device = tuple[str, str]
"""A GPU's UUID (its number where it has none) and its MIG instance."""

Codes = Mapping[int, float]
"""XIDs of one host by how many of its GPUs show each."""


@dataclass(frozen=True, slots=True)
class Dated:
    """The code that a GPU shows, and since when; `at` None where nobody can tell."""

    code: int
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Host:
    """What was found out of one host, the codes that it showed to a reading then, and when that was (monotonic seconds).

    `since` is the age of each code for the host as a whole.
    """

    codes: Codes | None
    gpus: Mapping[Device, Dated]
    asked: float
    since: Mapping[int, datetime | None]


class _Asked(Protocol):
    async def ask(self, query: str) -> Answer: ...

    async def ask_range(
        self, query: str, start: datetime, end: datetime, step: timedelta
    ) -> Sequence[Series]: ...


class XidAges:
    """The ages of the XIDs that a fleet shows. What is kept is bounded by the hosts that show any."""

    def __init__(
        self,
        source: _Asked,
        threads: DaemonThreads,
        clock: Clock,
        matchers: Mapping[str, str],
        severity_of: SeverityOf,
    ) -> None:
        self._source = source
        self._threads = threads
        self._clock = clock
        self._matchers = matchers
        self._severity_of = severity_of
        self._shown: Mapping[str, Codes] = {}
        self._known: dict[str, _Host] = {}
        self._wanted: dict[str, None] = {}
        self._rests_until = 0.0

    def see(self, shown: Mapping[str, Codes]) -> None:
        """Take in what the whole fleet shows: hosts that show no XID are forgotten, those that show others are wanted."""
        self._shown = shown
        self._known = {host: known for host, known in self._known.items() if host in shown}
        self._wanted = {host: None for host in shown if self._is_due(host)}

    def want(self, host: str) -> None:
        """Have the ages of one host's XIDs found out with the next ones."""
        self._wanted[host] = None

    @property
    def due(self) -> bool:
        """Whether any are wanted, and none was refused just now."""
        return bool(self._wanted) and self._clock.monotonic() >= self._rests_until

    def on_nodes(self, nodes: Mapping[str, NodeTelemetry]) -> Mapping[str, NodeTelemetry]:
        """The nodes by host, those that show an XID with since when the last of its GPUs turned to it, as far as it is known.

        Changes nothing here, so that a thread may do it: ten thousand nodes that show one are more than a frame.
        """
        shown, known = self._shown, self._known
        dated = dict(nodes)
        for host, codes in shown.items():
            node, found = nodes.get(host), known.get(host)
            if node is not None and node.xid and found is not None and found.codes == codes:
                dated[host] = replace(node, xid_at=found.since.get(node.xid))
        return dated

    def on_gpus(self, host: str, gpus: Sequence[GpuTelemetry]) -> Sequence[GpuTelemetry]:
        """The rows of a host, each XID with since when it is shown; what was not found out yet is wanted."""
        return [self._on_gpu(host, gpu) for gpu in gpus]

    def _on_gpu(self, host: str, gpu: GpuTelemetry) -> GpuTelemetry:
        if not gpu.xid:
            return gpu
        known = self._known.get(host)
        dated = known.gpus.get((gpu.uuid or gpu.gpu, gpu.instance)) if known is not None else None
        if dated is None or dated.code != gpu.xid:
            self.want(host)
            return gpu
        return replace(gpu, xid_at=dated.at)

    async def find_some(self, shape: Shape, nodes: NodeNames, behind: timedelta) -> None:
        """Find out the ages of a few wanted hosts, the hardest codes first. Raises FleetError, and asks no more for a while."""
        hosts = sorted(self._wanted, key=self._hardness, reverse=True)[:HOSTS_AT_ONCE]
        started = self._clock.monotonic()
        self._rests_until = started + _RESTS.total_seconds()
        await self.find(hosts, shape, nodes, behind)
        ended = self._clock.monotonic()
        self._rests_until = ended + _DEAR * (ended - started)

    async def find(self, hosts: Collection[str], shape: Shape, nodes: NodeNames, behind: timedelta) -> None:
        """Find out the ages of these hosts' XIDs now, `behind` being how far Prometheus' clock is. Raises FleetError."""
        codes, end = {host: self._shown.get(host) for host in hosts}, self._clock.now() - behind
        asked = [await self._source.ask(query) for query in showing(shape, hosts, self._matchers)]
        rows = [row for answer in asked for row in answer.rows]
        series: list[Series] = []
        for query in past(shape, hosts, rows, self._matchers):
            series += await self._source.ask_range(query, end - WINDOW, end, STEP)
        found = await self._threads.call(partial(dated_by, rows, series, shape, nodes, behind))
        for host in hosts:
            self._known[host] = self._host(codes[host], found.get(host, {}))
            self._wanted.pop(host, None)

    def _host(self, codes: Codes | None, gpus: Mapping[Device, Dated]) -> _Host:
        shown: list[tuple[int, datetime | None]] = [(gpu.code, gpu.at) for gpu in gpus.values()]
        shown += [(code, None) for code in {*(codes or ())} - {gpu.code for gpu in gpus.values()}]
        since = {code: shown_since(code, shown, self._severity_of) for code in codes or ()}
        return _Host(codes, gpus, self._clock.monotonic(), since)

    def _is_due(self, host: str) -> bool:
        known = self._known.get(host)
        if known is None or known.codes != self._shown.get(host):
            return True
        return self._clock.monotonic() - known.asked > _AGAIN.total_seconds()

    def _hardness(self, host: str) -> int:
        code = worst(self._shown.get(host, ()), self._severity_of)
        return tuple(Severity).index(self._severity_of(code)) if code else 0


def showing(shape: Shape, hosts: Collection[str], matchers: Mapping[str, str]) -> Sequence[str]:
    """Which GPUs of these hosts show an XID, by each label that may name them."""
    _, high = sentinels.PLAUSIBLE[sentinels.XID_ERRORS]
    return [
        f"{at_hosts(sentinels.XID_ERRORS, label, hosts, matchers)} > 0 <= {high:.15g}"
        for label in shape.labels
    ]


def past(
    shape: Shape, hosts: Collection[str], rows: Sequence[Row], matchers: Mapping[str, str]
) -> Sequence[str]:
    """How the gauge of the GPUs in `rows` went, in as many questions as are not too long; whole hosts where GPUs have no UUID."""
    if not rows:
        return []
    uuids = sorted({row.metric.get("UUID", "") for row in rows})
    parts = [uuids[first : first + _GPUS_A_QUERY] for first in range(0, len(uuids), _GPUS_A_QUERY)]
    narrowed = [""] if "" in uuids else [f",UUID=~{quoted(exactly(part))}" for part in parts]
    asked = [on_hosts(sentinels.XID_ERRORS, shape, hosts, matchers, more) for more in narrowed]
    return [query for by_label in zip(*asked, strict=True) for query in by_label]


def dated_by(
    rows: Iterable[Row], series: Iterable[Series], shape: Shape, nodes: NodeNames, behind: timedelta
) -> Mapping[str, Mapping[Device, Dated]]:
    """The GPUs that show an XID, by host, each with since when. Series of one GPU (a code is often a label) are read as one."""
    shown: dict[tuple[str, Device], list[int]] = {}
    for row in rows:
        with contextlib.suppress(ValueError, OverflowError):
            gpu = name_in(row.metric, shape.labels, nodes), device_of(row.metric)
            shown.setdefault(gpu, []).append(int(row.number))
    went: dict[tuple[str, Device], dict[float, list[int]]] = {}
    for each in series:
        samples = went.setdefault((name_in(each.metric, shape.labels, nodes), device_of(each.metric)), {})
        for at, text in each.values:
            with contextlib.suppress(ValueError, OverflowError):
                samples.setdefault(at, []).append(int(float(text)))
    found: dict[str, dict[Device, Dated]] = {}
    for (host, device), codes in shown.items():
        code = worst(codes) or 0
        turned = _turned(went.get((host, device), {}), code)
        since = None if turned is None else datetime.fromtimestamp(turned, UTC) + behind
        found.setdefault(host, {})[device] = Dated(code, since)
    return found


def _turned(samples: Mapping[float, Sequence[int]], code: int) -> float | None:
    """When the gauge turned to the code for the last time; None where its first sample, or the first after a gap, had it."""
    turned: float | None = None
    before: tuple[float, int] | None = None
    for at, codes in sorted(samples.items()):
        now = worst(codes) or 0
        if before is None or at - before[0] > BRIDGED.total_seconds():
            turned = None
        elif now != before[1]:
            turned = at
        before = at, now
    return turned if before is not None and before[1] == code else None
