"""A telemetry source that reads exporter pages itself, many at a time, each under a deadline and a size limit.

A page that fails loses its own nodes and no others. A page asked for again within a moment is not fetched again: gates of
many nodes at once ask for the same one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import quote

import aiohttp
from yarl import URL

from backends.dcgm_exporter.convert import Rows, rows_of_node, rows_of_page
from fleet.errors import Denied, FleetError, Garbled, Missing, Rejected, Throttled, TimedOut, Unreachable
from fleet.gpu_rows import node_from_gpus
from fleet.idle import IdleWatch
from fleet.joining import NodeNames, host_of
from fleet.node import NodeKey
from fleet.ports import Clock, TelemetryRead
from fleet.telemetry import GpuTelemetry, NodeTelemetry
from fleet.xid import SeverityOf, default_severity
from fleet.xid_turns import BRIDGED, dated

NODE = "{node}"
"""Stands in a page's address for the name of each node."""

_ACCEPT = {"Accept": "text/plain;version=0.0.4;q=1,*/*;q=0.1"}
_CHUNK = 1 << 16
_SMALL = 1 << 16
_FEW = 50
"""Nodes that are summed up on the loop; more take longer than a frame."""
_REUSED = timedelta(seconds=1)


@dataclass(slots=True)
class _Page:
    """One address, what it last said or how it failed, and a lock so that two askers are one fetch."""

    url: str
    node: str = ""  # whose page it is, where its address was made from a node's name
    said: Rows | FleetError = field(default_factory=dict)
    fetched: float | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def about(self) -> str:
        """The address without a password that may stand in it."""
        try:
            return str(URL(self.url).with_user(None))
        except ValueError:
            return "the exporter's address"


class DcgmExporterSource:
    """GPU telemetry of the exporters at `addresses`: each a page's URL, or a pattern with `{node}` for every node of `nodes`.

    `close` it in the loop that used it.
    """

    name = "dcgm"

    def __init__(
        self,
        addresses: Sequence[str],
        clock: Clock,
        nodes: Callable[[], Collection[NodeKey]],
        *,
        deadline: timedelta = timedelta(seconds=10),
        parallel: int = 16,
        page_limit: int = 64 << 20,
        severity_of: SeverityOf = default_severity,
    ) -> None:
        self._addresses = tuple(addresses)
        self._clock = clock
        self._nodes = nodes
        self._deadline = deadline
        self._page_limit = page_limit
        self._severity_of = severity_of
        self._slots = asyncio.Semaphore(parallel)
        self._pages: dict[str, _Page] = {}
        self._session: aiohttp.ClientSession | None = None
        self._idle = IdleWatch()

    async def by_node(self) -> TelemetryRead:
        """Every node that a page has rows of; a page that failed is a warning. Raises FleetError where all failed."""
        rows, failures = await self._read(self._wanted())
        sums = partial(_sums, rows, self._clock.now(), self._severity_of, self._idle)
        nodes = sums() if len(rows) <= _FEW else await asyncio.to_thread(sums)
        return TelemetryRead(nodes, tuple(str(failure) for failure in failures))

    async def by_gpu(self, names: Collection[str]) -> Mapping[str, Sequence[GpuTelemetry]]:
        """Rows of the nodes named. Raises FleetError where a page that may hold one of them failed."""
        hosts = {host_of(name): name for name in names}
        pages = [page for page in self._wanted() if not page.node or host_of(page.node) in hosts]
        rows, failures = await self._read(pages)
        found = {hosts[host]: gpus for host, gpus in rows.items() if host in hosts}
        if failures and len(found) < len(hosts):
            raise failures[0]
        return found

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _wanted(self) -> list[_Page]:
        """The pages to read now. Those of nodes that are gone are forgotten."""
        wanted: dict[str, _Page] = {}
        for address in self._addresses:
            if NODE not in address:
                wanted[address] = self._pages.get(address) or _Page(address)
                continue
            for key in self._nodes():
                url = address.replace(NODE, quote(key.name, safe=".-:[]"))
                wanted[url] = self._pages.get(url) or _Page(url, key.name)
        self._pages = wanted
        return list(wanted.values())

    async def _read(
        self, pages: Sequence[_Page]
    ) -> tuple[dict[str, Sequence[GpuTelemetry]], list[FleetError]]:
        known = NodeNames(self._nodes())
        answers = await asyncio.gather(*(self._refreshed(page, known) for page in pages))
        failures = [answer for answer in answers if isinstance(answer, FleetError)]
        if failures and len(failures) == len(answers):
            raise failures[0]
        rows: dict[str, Sequence[GpuTelemetry]] = {}
        for answer in answers:
            if not isinstance(answer, FleetError):
                for name, gpus in answer.items():
                    rows[name] = (*rows.get(name, ()), *gpus)
        return rows, failures

    async def _refreshed(self, page: _Page, known: NodeNames) -> Rows | FleetError:
        async with page.lock:
            now = self._clock.monotonic()
            if page.fetched is not None and now - page.fetched < _REUSED.total_seconds():
                return page.said
            try:
                async with self._slots:
                    page.said = await self._fetched(page, known)
            except (
                FleetError
            ) as error:  # what its GPUs showed before is no word on what they turn to after it
                page.said = error
            page.fetched = self._clock.monotonic()
            return page.said

    async def _fetched(self, page: _Page, known: NodeNames) -> Rows:
        try:
            async with asyncio.timeout(self._deadline.total_seconds()):
                body = await self._body(page)
        except TimeoutError as error:
            seconds = self._deadline.total_seconds()
            raise TimedOut(f"no whole page within {seconds:g} s", about=page.about) from error
        except (aiohttp.InvalidURL, ValueError) as error:
            raise Rejected("not an address that can be fetched", about=page.about) from error
        except aiohttp.ClientError as error:
            raise Unreachable(f"no page from it: {error}", about=page.about) from error
        if len(body) <= _SMALL:
            return self._rows(page, body, known)
        return await asyncio.to_thread(self._rows, page, body, known)

    async def _body(self, page: _Page) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=_ACCEPT)
        async with self._session.get(page.url) as answer:
            _refuse(answer, page.about)
            body = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > self._page_limit:
                    raise Garbled(f"its page is over {self._page_limit >> 20} MiB", about=page.about)
            return bytes(body)

    def _rows(self, page: _Page, body: bytes, known: NodeNames) -> Rows:
        text, at = body.decode("utf-8", "replace"), self._clock.now()
        if page.node:
            rows = rows_of_node(text, page.about, host_of(page.node), at)
        else:
            rows = rows_of_page(text, page.about, host_of(URL(page.url).host or ""), known, at)
        return dated(self._before(page), rows, at)

    def _before(self, page: _Page) -> Rows:
        """What the page said last; nothing where it failed, or was not asked for too long."""
        if page.fetched is None or isinstance(page.said, FleetError):
            return {}
        return page.said if self._clock.monotonic() - page.fetched <= BRIDGED.total_seconds() else {}


def _sums(rows: Rows, at: datetime, severity_of: SeverityOf, idle: IdleWatch) -> dict[str, NodeTelemetry]:
    sums = {name: node_from_gpus(gpus, at, severity_of) for name, gpus in rows.items()}
    return idle.look(sums, rows, at)


def _refuse(answer: aiohttp.ClientResponse, about: str) -> None:
    """Raise what a status other than 200 means."""
    status, said = answer.status, f"it answers {answer.status} {answer.reason or ''}".rstrip()
    if status == 200:
        return
    if status in (401, 403):
        raise Denied(said, about=about)
    if status in (404, 410):
        raise Missing(said, about=about)
    if status == 429:
        wait = answer.headers.get("Retry-After", "")
        seconds = timedelta(seconds=int(wait)) if wait.isdecimal() and len(wait) < 6 else None
        raise Throttled(said, about=about, retry_after=seconds)
    raise (Unreachable if status >= 500 else Rejected)(said, about=about)
