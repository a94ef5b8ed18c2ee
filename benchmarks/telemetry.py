"""One refresh of a fleet's GPU telemetry, from the page of the exporters and from a Prometheus where one is installed."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from statistics import median
from time import perf_counter, sleep
from urllib.parse import urlencode, urlsplit

from backends.dcgm_exporter.scrape import DcgmExporterSource
from backends.prometheus import queries
from backends.prometheus.client import PrometheusSettings, PrometheusSource
from benchmarks.figures import Figure, Size, timed
from benchmarks.fleets import Fleet, served
from benchmarks.terminal import environment
from fleet.node import NodeKey
from fleet.observation import Observation
from fleet.ports import TelemetrySource
from fleet.store import FleetStore
from fleet.telemetry_feed import TelemetryFeed
from tui.wiring import SystemClock

_PULSE = 0.002
_DEADLINE = timedelta(seconds=60)
_AT_ONCE = 4
_READY_WITHIN = 60.0


def telemetry(size: Size) -> Iterator[Figure]:
    """A refresh of every node against raw HTTP of the same page or queries, and how long it holds the event loop."""
    sys.setswitchinterval(0.0005)  # as the dashboard has it
    for nodes in (size.few, size.nodes):
        with served(nodes) as fleet:
            known = _known(fleet)
            yield from _from_page(fleet, nodes, known, size)
            if shutil.which("prometheus") and (nodes == size.few or size.wide):
                yield from _from_prometheus(fleet, nodes, known, size)


def _from_page(fleet: Fleet, nodes: int, known: Sequence[NodeKey], size: Size) -> Iterator[Figure]:
    source = DcgmExporterSource([fleet.metrics], SystemClock(), lambda: known, deadline=_DEADLINE)
    raw = median(timed(lambda: _get(fleet.metrics)) for _ in range(size.repeats))
    yield from _told(f"{nodes:,} nodes, exporters' page", source, known, raw, size)


def _from_prometheus(fleet: Fleet, nodes: int, known: Sequence[NodeKey], size: Size) -> Iterator[Figure]:
    with _prometheus(fleet) as url:
        source = PrometheusSource(PrometheusSettings(url, deadline=_DEADLINE), SystemClock(), lambda: known)
        asked = list(queries.by_node(queries.Shape(("Hostname",)), {}).values())
        raw = median(timed(lambda: _ask_all(url, asked)) for _ in range(size.repeats))
        yield from _told(f"{nodes:,} nodes, Prometheus", source, known, raw, size)


def _told(
    about: str,
    source: PrometheusSource | DcgmExporterSource,
    known: Sequence[NodeKey],
    raw: float,
    size: Size,
) -> Iterator[Figure]:
    taken, gaps, read = asyncio.run(_refreshed(source, known, size.repeats))
    yield Figure(
        f"telemetry refresh, {about}", taken, "s", size.repeats, floor=raw, note=f"{read:,} nodes read"
    )
    yield Figure(f"longest block of the loop in it, {about}", gaps, "ms", size.repeats)


async def _refreshed(
    source: PrometheusSource | DcgmExporterSource, known: Sequence[NodeKey], repeats: int
) -> tuple[float, float, int]:
    """Seconds of a refresh and milliseconds of its longest block, by the median, and how many nodes it read."""
    store, rounds, blocks = FleetStore(), list[float](), list[float]()
    feed = _feed(source, known)
    for turn in range(repeats + 1):
        gaps = [0.0]
        pulse, began = asyncio.create_task(_beat(gaps)), perf_counter()
        await feed.one_round(lambda news: _take(store, news))
        pulse.cancel()
        await asyncio.gather(pulse, return_exceptions=True)
        if turn:  # the first also finds out how the series are named
            rounds.append(perf_counter() - began)
            blocks.append(max(gaps))
        await asyncio.sleep(1.1)  # a page asked for again within a second is not fetched again
    await source.close()
    joined = feed.joined()
    return median(rounds), median(blocks), len(joined.names) if joined is not None else 0


def _feed(source: TelemetrySource, known: Sequence[NodeKey]) -> TelemetryFeed:
    return TelemetryFeed(source, lambda: known, SystemClock())


def _take(store: FleetStore, news: Sequence[Observation]) -> None:
    store.apply_all(news)


async def _beat(gaps: list[float]) -> None:
    while True:
        before = perf_counter()
        await asyncio.sleep(_PULSE)
        gaps.append((perf_counter() - before - _PULSE) * 1000)


@contextmanager
def _prometheus(fleet: Fleet) -> Iterator[str]:
    """A Prometheus of its own that has scraped the fleet's page once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "global": {"scrape_interval": "60s", "scrape_timeout": "60s"},
        "scrape_configs": [
            {
                "job_name": "dcgm",
                "honor_labels": True,
                "static_configs": [{"targets": [urlsplit(fleet.metrics).netloc]}],
            }
        ],
    }
    (fleet.folder / "prometheus.yml").write_text(json.dumps(config))
    command = ["prometheus", f"--config.file={fleet.folder}/prometheus.yml"]
    command += [f"--storage.tsdb.path={fleet.folder}/tsdb", f"--web.listen-address={address}"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    try:
        _wait_for_samples(f"http://{address}")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def _wait_for_samples(url: str) -> None:
    end = perf_counter() + _READY_WITHIN * 2
    while perf_counter() < end:
        try:
            if b'"value"' in _get(_query(url, "count(DCGM_FI_DEV_GPU_UTIL)")):
                return
        except OSError:
            pass  # it is still starting
        sleep(0.5)
    raise TimeoutError("Prometheus has no samples of the fleet")


def _ask_all(url: str, asked: Sequence[str]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(lambda query: _get(_query(url, query)), asked))


def _query(url: str, query: str) -> str:
    return f"{url}/api/v1/query?{urlencode({'query': query})}"


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        body: bytes = answer.read()
        return body


def _known(fleet: Fleet) -> list[NodeKey]:
    """The nodes by their names, as a feed of nodes would have them."""
    groups = json.loads(_get(fleet.targets))
    return [NodeKey("simulated", group["labels"]["node"]) for group in groups]
