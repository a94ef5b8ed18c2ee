"""A telemetry source that asks Prometheus through prometheus-api-client, beside the loop and under a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from backends.prometheus import past_xids, queries, ranges, recorded, replays, versions
from backends.prometheus.answers import Answer, Row, Series
from backends.prometheus.convert import (
    LeftOver,
    alerts_of,
    codes_of,
    gpus_of,
    left_over,
    nodes_of,
    shape_of,
)
from backends.prometheus.queries import Shape
from backends.prometheus.threads import DaemonThreads
from backends.prometheus.xid_ages import XidAges
from fleet.drift import Versions
from fleet.errors import FleetError, Rejected, TimedOut
from fleet.history import Line, Metric, NodeHistory, Span
from fleet.joining import NodeNames, host_of, name_in
from fleet.node import NodeKey
from fleet.ports import Clock, TelemetryRead
from fleet.telemetry import Alert, GpuTelemetry, Replays
from fleet.timeline import Entry
from fleet.xid import SeverityOf, default_severity

T = TypeVar("T")

_AT_ONCE = 4  # Prometheus runs 20 queries at once by default, and others ask it too
_HOSTS_A_QUERY = 25  # keeps the address of a request below 8 KB
_TRUSTED_FOR = timedelta(minutes=10)  # then recorded series are compared with the raw ones again
_DISTRUSTED_FOR = timedelta(minutes=1)  # a node that came or went makes them differ for a moment


_IDLE_EVERY = timedelta(minutes=1)
_DEAR = 50  # how many times as long as the answer took the next question waits at least

_SAME_CLOCK = 20.0
"""Seconds by which an answer may be away from our clock and still be of the same time."""


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Where Prometheus is and how to be let in.

    `matchers` go into every selector (`cluster="a"` where one Prometheus has several clusters); `headers` into every request
    (`X-Scope-OrgID`). The token file is read at each request, since tokens are renewed in place. Proxies come from
    HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
    """

    url: str
    username: str = ""
    password: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    matchers: Mapping[str, str] = field(default_factory=dict)
    deadline: timedelta = timedelta(seconds=10)
    answer_limit: int = 256 << 20

    @property
    def about(self) -> str:
        """The address without a password that may stand in it."""
        try:
            parts = urlsplit(self.url)
            return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        except ValueError:
            return "the address of Prometheus"


class PrometheusSource:
    """GPU telemetry of the nodes that Prometheus scrapes, keyed by bare host names.

    `nodes` says which nodes are known, so that the label that joins them is found; it is asked anew where none joins.
    """

    name = "prometheus"

    def __init__(
        self,
        settings: PrometheusSettings,
        clock: Clock,
        nodes: Callable[[], Collection[NodeKey]],
        *,
        severity_of: SeverityOf = default_severity,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._nodes = nodes
        self._severity_of = severity_of
        self._threads = DaemonThreads(_AT_ONCE, "prometheus")
        self._connection: Any = None
        self._connecting = threading.Lock()
        self._shape: Shape | None = None
        self._shaped_for_nodes = False
        self._strangers: LeftOver = frozenset()  # joins no node, whichever label is tried
        self._uses_rules = False
        self._behind = timedelta()  # how far Prometheus' clock is behind ours
        self._idle: Sequence[Row] = ()
        self._idle_again = 0.0  # when idle GPUs are asked for again
        self._judged: float | None = None  # until when that is not asked again
        self._ages = XidAges(self, self._threads, clock, settings.matchers, severity_of)

    @property
    def matchers(self) -> Mapping[str, str]:
        """What goes into every selector."""
        return self._settings.matchers

    @property
    def shape(self) -> Shape | None:
        """How the series look, as far as it was found out."""
        return self._shape

    @property
    def uses_rules(self) -> bool:
        """Whether the fleet's sums are read from recorded series."""
        return self._uses_rules

    async def by_node(self) -> TelemetryRead:
        """Every node that has series. Raises FleetError.

        Which labels name nodes is found out once, and again when nothing comes back, or something new that joins no node.
        """
        known = await self._known()
        fresh = self._shape is None or (bool(known) and not self._shaped_for_nodes)
        read, left = await self._summed(known, anew=fresh)
        if not fresh and (not read.nodes or left - self._strangers):
            before = left
            read, left = await self._summed(known, anew=True)
            self._strangers = left & before  # what came while the labels were looked at was perhaps not seen
        return read

    async def by_gpu(self, names: Collection[str]) -> Mapping[str, Sequence[GpuTelemetry]]:
        """Raw rows of the nodes named. Raises FleetError."""
        known = await self._known()
        shape = self._shape or (await self._detect(known))[0]
        hosts = {host: name for name in names if (host := host_of(name))}
        asked = [
            pair
            for first in range(0, len(hosts), _HOSTS_A_QUERY)
            for pair in queries.of_hosts(
                shape, sorted(hosts)[first : first + _HOSTS_A_QUERY], self._settings.matchers
            )
        ]
        answers = await self._ask_all([query for pair in asked for query in pair])
        raw = [row for answer in answers[::2] for row in answer.rows]
        sampled = [row for answer in answers[1::2] for row in answer.rows]
        found = await self._threads.call(partial(gpus_of, raw, sampled, shape, known, self._clock.now()))
        return {hosts[host]: self._ages.on_gpus(host, rows) for host, rows in found.items() if host in hosts}

    async def date_xids(self) -> None:
        """Find out since when some GPUs show their XIDs; what can't be found out is left unknown, and asked again later."""
        if self._shape is None or not self._ages.due:
            return
        with contextlib.suppress(FleetError):
            await self._ages.find_some(self._shape, await self._known(), self._behind)

    async def dated(self, name: str, rows: Sequence[GpuTelemetry]) -> Sequence[GpuTelemetry]:
        """The rows of one node with the ages of their XIDs as Prometheus tells them now, unknown where it can't."""
        host, unknown = host_of(name), [replace(row, xid_at=None) for row in rows]
        if not any(row.xid for row in rows) or self._shape is None or not host:
            return unknown
        try:
            await self._ages.find([host], self._shape, await self._known(), self._behind)
        except FleetError:
            return unknown
        return self._ages.on_gpus(host, unknown)

    async def replays(self, name: str, over: timedelta) -> Replays:
        """How the PCIe replay counters of one node's GPUs went from `over` ago up to now, by UUID. Raises FleetError."""
        known = await self._known()
        shape = self._shape or (await self._detect(known))[0]
        host, behind = host_of(name), self._behind
        end = self._clock.now() - behind
        asked = replays.of_host(shape, host, self._settings.matchers) if host else ()
        read = [await self.ask_range(query, end - over, end, replays.STEP) for query in asked]
        series = [each for found in read for each in found]
        return await self._threads.call(partial(replays.counted, series, shape, known, host, behind))

    async def history(self, name: str, span: Span) -> NodeHistory:
        """One node's GPUs over `span`, up to now. Raises FleetError; a node without series has no lines.

        Where Prometheus has no single GPUs of that time, what its rules recorded of the node stands in.
        """
        known = await self._known()
        shape, now = self._shape or (await self._detect(known))[0], self._clock.now()
        if not shape.labels:
            return NodeHistory(span, now, source=self.name)
        host, matchers = host_of(name), self._settings.matchers
        threshold = await self.ask(ranges.slowdown(shape, host, matchers))
        end = now - self._behind
        lines = await self._lines(ranges.of_gpus(shape, host, matchers, span), end, span)
        if not any(lines.values()):
            lines = await self._lines(ranges.of_node(shape, host, matchers, span), end, span)
        return NodeHistory(span, now, lines, self.name, slowdown=ranges.number_of(threshold.rows))

    async def _lines(
        self, asked: Mapping[Metric, str], end: datetime, span: Span
    ) -> Mapping[Metric, tuple[Line, ...]]:
        start = end - (span.steps - 1) * span.step
        told = await _together([self.ask_range(query, start, end, span.step) for query in asked.values()])
        return {
            metric: ranges.lines_of(metric, series, end, span)
            for metric, series in zip(asked, told, strict=True)
        }

    async def ask(self, query: str) -> Answer:
        """The answer to one PromQL query of an instant vector, read to its end within the deadline. Raises FleetError."""
        return await self._in_time(partial(self._asked, query))

    async def ask_range(
        self, query: str, start: datetime, end: datetime, step: timedelta
    ) -> Sequence[Series]:
        """The series of one PromQL query over a span, a sample a step (11,000 at most). Raises FleetError."""
        return await self._in_time(partial(self._asked_range, query, start, end, step))

    async def versions(self) -> Mapping[str, Versions]:
        """What the labels of every node's series say of its GPUs' versions, by host. Raises FleetError."""
        known = await self._known()
        shape = self._shape or (await self._detect(known))[0]
        if not shape.labels:
            return {}
        answer = await self.ask(versions.query(shape, self._settings.matchers))
        name_of = partial(name_in, chosen=shape.labels, nodes=known)
        return await self._threads.call(partial(versions.versions_of, answer.rows, name_of))

    async def xids_of(self, name: str, since: datetime, until: datetime) -> Sequence[Entry]:
        """The XIDs that the GPUs of one node showed between the two, by the name its series have. Raises FleetError."""
        known = await self._known()
        shape = self._shape or (await self._detect(known))[0]
        host, step = host_of(name), past_xids.step_of(until - since)
        asked = past_xids.of_host(shape, host, self._settings.matchers) if host and since < until else ()
        read = [await self.ask_range(query, since, until, step) for query in asked]
        series = [each for found in read for each in found]
        return await self._threads.call(partial(past_xids.told_by, series, shape, known, host, since, step))

    async def _in_time(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._settings.deadline.total_seconds()):
                return await self._threads.call(work)
        except TimeoutError as error:
            seconds = self._settings.deadline.total_seconds()
            raise TimedOut(f"no answer within {seconds:g} s", about=self._settings.about) from error

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _known(self) -> NodeNames:
        return await self._threads.call(partial(NodeNames, tuple(self._nodes())))

    async def _summed(self, known: NodeNames, *, anew: bool) -> tuple[TelemetryRead, LeftOver]:
        warnings: tuple[str, ...] = ()
        shape = self._shape
        if anew or shape is None:
            shape, warnings = await self._detect(known)
        if not shape.labels:
            alerts, unread = await self._firing(known)
            return TelemetryRead({}, (*warnings, *unread), alerts), frozenset()
        await self._judge_rules(shape, anew=anew)
        ask = recorded.by_node if self._uses_rules else queries.by_node
        asked = dict(ask(shape, self._settings.matchers))
        idle = asked.pop(queries.IDLE)
        answers = await self._ask_all(list(asked.values()))
        rows: dict[str, Sequence[Row]] = {
            name: answer.rows for name, answer in zip(asked, answers, strict=True)
        }
        rows[queries.IDLE] = await self._idle_rows(idle)
        told = dict.fromkeys((*warnings, *(warning for answer in answers for warning in answer.warnings)))
        nodes = await self._threads.call(
            partial(nodes_of, rows, shape, known, self._clock.now(), self._severity_of)
        )
        self._ages.see(await self._threads.call(partial(codes_of, rows["xid"], shape, known)))
        left = await self._threads.call(partial(left_over, rows["gpus_seen"], shape, known))
        self._reckon(rows["gpus_seen"])
        alerts, unread = await self._firing(known)
        dated = await self._threads.call(partial(self._ages.on_nodes, nodes))
        return TelemetryRead(dated, (*told, *unread), alerts), left

    async def _idle_rows(self, query: str) -> Sequence[Row]:
        """Held and idle GPUs, asked for as seldom as the question is dear: it goes over the last minutes of every GPU.

        A Prometheus that can't answer it in time is left alone for long, and nothing is known of idle GPUs.
        """
        started = self._clock.monotonic()
        if started < self._idle_again and not self._uses_rules:
            return self._idle
        try:
            self._idle = (await self.ask(query)).rows
        except FleetError:
            self._idle, self._idle_again = (), started + _TRUSTED_FOR.total_seconds()
        else:
            took = self._clock.monotonic() - started
            self._idle_again = started + max(_IDLE_EVERY.total_seconds(), _DEAR * took)
        return self._idle

    def _reckon(self, rows: Sequence[Row]) -> None:
        """Tell how far apart the clocks are from when an answer was made; some seconds are the way it took."""
        if rows:
            apart = self._clock.now().timestamp() - rows[0].value[0]
            self._behind = timedelta(seconds=round(apart)) if abs(apart) > _SAME_CLOCK else timedelta()

    async def _firing(self, known: NodeNames) -> tuple[Mapping[str, tuple[Alert, ...]], tuple[str, ...]]:
        """Alerts by host, with a warning where they can't be read: telemetry goes without them."""
        if not known:
            return {}, ()
        try:
            answer = await self.ask(queries.firing(self._settings.matchers))
        except FleetError as error:
            return {}, (f"alerts can't be read: {error}",)
        return await self._threads.call(partial(alerts_of, answer.rows, known)), ()

    async def _judge_rules(self, shape: Shape, *, anew: bool) -> None:
        """Find out whether the site records what `recorded.rules` says, and so that it can be believed."""
        now = self._clock.monotonic()
        if not anew and self._judged is not None and now < self._judged:
            return
        matchers = self._settings.matchers
        found = await self.ask(recorded.by_node(shape, matchers)[recorded.COUNT])
        self._uses_rules = bool(found.rows)
        if found.rows:
            raw = await self.ask(queries.by_node(shape, matchers)[recorded.COUNT])
            self._uses_rules = recorded.agree(found.rows, raw.rows, shape)
        differs = bool(found.rows) and not self._uses_rules
        self._judged = now + (_DISTRUSTED_FOR if differs else _TRUSTED_FOR).total_seconds()

    async def _detect(self, known: NodeNames) -> tuple[Shape, tuple[str, ...]]:
        answer = await self.ask(queries.shapes(self._settings.matchers))
        shape = await self._threads.call(partial(shape_of, answer.rows, known))
        self._shape = shape if shape.labels else None
        self._shaped_for_nodes = bool(known)
        return shape, answer.warnings

    async def _ask_all(self, asked: Sequence[str]) -> Sequence[Answer]:
        return await _together(list(map(self.ask, asked)))

    def _asked(self, query: str) -> Answer:
        with self._connecting:
            connection = self._connection = self._connection or self._connected()
        answer: Answer = connection.custom_query(query)
        return answer

    def _asked_range(self, query: str, start: datetime, end: datetime, step: timedelta) -> Sequence[Series]:
        with self._connecting:
            connection = self._connection = self._connection or self._connected()
        seconds = f"{step.total_seconds():g}"
        answer: Sequence[Series] = connection.custom_query_range(query, start, end, seconds)
        return answer

    def _connected(self) -> Any:
        """prometheus-api-client's connection, made at the first query, in its thread: it takes long to load."""
        from prometheus_api_client import PrometheusConnect
        from urllib3 import Retry

        from backends.prometheus.session import BoundedSession

        settings, url = self._settings, self._settings.url.rstrip("/")
        if not _is_address(url):
            raise Rejected("not an address of Prometheus (http:// or https://)", about=settings.about)
        session = BoundedSession(
            url,
            settings.about,
            self._clock.monotonic,
            ca_file=settings.ca_file,
            token_file=settings.token_file,
            limit=settings.answer_limit,
        )
        connect: Any = PrometheusConnect  # its annotations are narrower than what it takes
        return connect(
            url=url,
            headers=dict(settings.headers) or None,
            auth=(settings.username, settings.password) if settings.username else None,
            session=session,
            timeout=settings.deadline.total_seconds(),
            retry=Retry(total=0),
        )


async def _together(asked: Sequence[Awaitable[T]]) -> list[T]:
    """Every answer, or the first error once all have ended: none is left to end unheard."""
    answers: list[T] = []
    for each in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(each, BaseException):
            raise each
        answers.append(each)
    return answers


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
