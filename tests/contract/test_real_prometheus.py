"""A real Prometheus scrapes exporter pages and answers our client: what is asked is what it understands."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from backends.dcgm_exporter.scrape import DcgmExporterSource
from backends.prometheus.client import PrometheusSettings, PrometheusSource
from backends.simulated.fleet_plan import plan_fleet
from backends.simulated.serve import serve
from fleet.errors import Missing, Rejected, Unreachable
from fleet.joining import join
from fleet.node import NodeKey
from fleet.ports import TelemetryRead
from tests.servers import require

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("prometheus")]

BLANK = "9223372036854775794"
PATIENCE = 30.0
NODES = [NodeKey("lab", f"gpu-{number}") for number in range(1, 6)]
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- {{job_name: capital, metrics_path: /capital, static_configs: [{{targets: ["{target}"]}}]}}
- {{job_name: lower, metrics_path: /lower, static_configs: [{{targets: ["{target}"]}}]}}
- {{job_name: local, metrics_path: /local, static_configs: [{{targets: ["{target}"],
   labels: {{node: gpu-4, pod: nvidia-dcgm-exporter-x1, namespace: gpu-operator}}}}]}}
- {{job_name: vanishing, metrics_path: /vanishing, static_configs: [{{targets: ["{target}"]}}]}}
"""
DEAD_REMOTE = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
remote_read: [{{url: "http://127.0.0.1:9/read", read_recent: true, remote_timeout: 1s}}]
scrape_configs: []
"""
SIMULATED = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs: [{{job_name: dcgm, http_sd_configs: [{{url: "{targets}", refresh_interval: 5s}}]}}]
"""


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


def gpu(labels: str, index: int, **values: str) -> str:
    block = f'gpu="{index}",UUID="GPU-{index}",{labels}'
    return "".join(f"DCGM_FI_DEV_{name}{{{block}}} {value}\n" for name, value in values.items())


def healthy(labels: str, index: int, **more: str) -> str:
    usual = {
        "GPU_UTIL": "50",
        "GPU_TEMP": "60",
        "POWER_USAGE": "300.5",
        "FB_USED": "100",
        "FB_FREE": "300",
        "XID_ERRORS": "0",
        "ROW_REMAP_FAILURE": "0",
    }
    return gpu(labels, index, **{**usual, **more})


class Pages:
    """Exporter pages by path; a path that is not there answers 404."""

    def __init__(self) -> None:
        self.pages = {
            "/capital": healthy('Hostname="gpu-1"', 0, FB_RESERVED="100", XID_ERRORS="79")
            + healthy(
                'Hostname="gpu-1"', 1, GPU_UTIL=BLANK, POWER_USAGE=BLANK, FB_RESERVED="100", XID_ERRORS="154"
            )
            + healthy('Hostname="gpu-2.example.com"', 0, GPU_UTIL="808334905", GPU_TEMP="NaN"),
            "/lower": healthy('hostname="gpu-3"', 0),
            "/local": healthy('Hostname="localhost",pod="train-0",namespace="team"', 0),
            "/vanishing": healthy('Hostname="gpu-5"', 0),
        }
        pages = self.pages

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = pages.get(self.path)
                self.send_response(404 if page is None else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write((page or "").encode())

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.target = f"127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@contextmanager
def running(folder: Path, config: str) -> Iterator[str]:
    """A Prometheus of its own on a free loopback port, ready to answer, ended by its process id."""
    program = require("prometheus")
    (folder / "prometheus.yml").write_text(config)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [
        str(program),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until_ready(process, f"http://{address}/-/ready", folder / "log")
            yield f"http://{address}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - our own loopback
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"Prometheus was not ready: {log.read_text()}")


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    served = Pages()
    yield served
    served.close()


@pytest.fixture(scope="module")
def prometheus(pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("prometheus"), CONFIG.format(target=pages.target)) as url:
        yield url


@pytest.fixture
async def source(prometheus: str) -> AsyncIterator[PrometheusSource]:
    made = PrometheusSource(PrometheusSettings(prometheus), WallClock(), lambda: NODES)
    yield made
    await made.close()


async def read_until(source: PrometheusSource, enough: Callable[[TelemetryRead], bool]) -> TelemetryRead:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        read = await source.by_node()
        if enough(read):
            return read
        await asyncio.sleep(0.1)
    pytest.fail(f"Prometheus never said it: {read}")


def whole(read: TelemetryRead) -> bool:
    return len(read.nodes) == 5


async def test_every_way_of_naming_a_node_is_found(source: PrometheusSource) -> None:
    read = await read_until(source, whole)
    assert sorted(read.nodes) == ["gpu-1", "gpu-2.example.com", "gpu-3", "gpu-4", "gpu-5"]
    assert read.warnings == ()


async def test_sums_by_node_are_right_and_blanks_do_not_spoil_them(source: PrometheusSource) -> None:
    nodes = (await read_until(source, whole)).nodes
    first, second, third = nodes["gpu-1"], nodes["gpu-2.example.com"], nodes["gpu-3"]
    assert (first.gpu_util, first.gpu_util_min, first.gpu_temp_max) == (50, 50, 60)
    assert (first.power_watts, first.fb_used_ratio, first.gpus_seen) == (300.5, 0.2, 2)
    assert (first.xid, first.row_remap_failure) == (79, False)
    assert (second.gpu_util, second.gpu_temp_max, second.gpus_seen) == (None, None, 1)
    assert (third.gpu_util, third.fb_used_ratio, third.xid) == (50, 0.25, 0)
    assert all(abs(WallClock().now() - node.at) < timedelta(seconds=10) for node in nodes.values())


async def test_raw_rows_come_for_the_nodes_asked_for(source: PrometheusSource) -> None:
    await read_until(source, whole)
    rows = await source.by_gpu(["gpu-1", "gpu-4", "gpu-2.example.com", "gpu-1.*"])
    assert {name: len(gpus) for name, gpus in rows.items()} == {
        "gpu-1": 2,
        "gpu-2.example.com": 1,
        "gpu-4": 1,
    }
    first, second = rows["gpu-1"]
    assert (first.util, first.xid, first.fb_total_mib) == (50, 79, 500)
    assert (second.util, second.power_watts, second.xid) == (None, None, 154)
    assert first.at is not None
    assert abs(WallClock().now() - first.at) < timedelta(seconds=10)
    assert rows["gpu-4"][0].held_by == "team/train-0"


async def test_an_exporter_that_vanishes_is_gone_with_the_next_scrapes(
    source: PrometheusSource, pages: Pages
) -> None:
    await read_until(source, whole)
    page = pages.pages.pop("/vanishing")
    try:
        read = await read_until(source, lambda read: "gpu-5" not in read.nodes)
        assert sorted(read.nodes) == ["gpu-1", "gpu-2.example.com", "gpu-3", "gpu-4"]
        assert await source.by_gpu(["gpu-5"]) == {}
    finally:
        pages.pages["/vanishing"] = page
    await read_until(source, whole)


async def test_a_query_that_can_not_be_read_is_rejected_with_its_reason(source: PrometheusSource) -> None:
    with pytest.raises(Rejected, match="parse error"):
        await source.ask("sum(")


async def test_a_query_that_can_not_be_computed_is_rejected(source: PrometheusSource) -> None:
    with pytest.raises(Rejected, match="422"):
        await source.ask('label_replace(up, "0bad", "", "", "")')


async def test_an_address_beside_the_api_is_missing(prometheus: str) -> None:
    beside = PrometheusSource(PrometheusSettings(prometheus + "/elsewhere"), WallClock(), lambda: NODES)
    with pytest.raises(Missing, match="404"):
        await beside.by_node()
    await beside.close()


async def test_names_that_try_to_break_out_of_the_query_find_nothing(source: PrometheusSource) -> None:
    await read_until(source, whole)
    assert await source.by_gpu(['gpu-1"} or up{a="', "gpu-1\\", "a\nb", "(", "gpu-[1]", "[", ""]) == {}


async def test_a_dead_remote_read_is_a_warning(tmp_path: Path) -> None:
    with running(tmp_path, DEAD_REMOTE.format()) as url:
        source = PrometheusSource(PrometheusSettings(url), WallClock(), lambda: NODES)
        read = await source.by_node()
        assert read.nodes == {}
        assert any("remote" in warning for warning in read.warnings)
        await source.close()


async def test_a_prometheus_that_went_away_is_unreachable(tmp_path: Path) -> None:
    with running(tmp_path, "scrape_configs: []\n") as url:
        source = PrometheusSource(PrometheusSettings(url), WallClock(), lambda: NODES)
        assert (await source.by_node()).nodes == {}
    with pytest.raises(Unreachable, match="refused"):
        await source.by_node()
    await source.close()


async def test_prometheus_and_the_exporters_agree_on_a_simulated_fleet(tmp_path: Path) -> None:
    clock = WallClock()
    async with serve(clock, plan=plan_fleet(12, 0)) as simulation, contextlib.AsyncExitStack() as stack:
        keys = [NodeKey("simulated", plan.name) for plan in simulation.world.plan.nodes]
        scraping = running(tmp_path, SIMULATED.format(targets=simulation.targets_url))
        url = await asyncio.to_thread(scraping.__enter__)
        stack.push(scraping)
        scraper = PrometheusSource(PrometheusSettings(url), clock, lambda: keys)
        stack.push_async_callback(scraper.close)
        exporters = DcgmExporterSource([simulation.metrics_url], clock, lambda: keys)
        stack.push_async_callback(exporters.close)
        direct = (await exporters.by_node()).nodes
        assert direct
        scraped = (await read_until(scraper, lambda read: read.nodes.keys() == direct.keys())).nodes
        assert {
            name: (node.gpus_seen, node.xid, node.row_remap_failure) for name, node in scraped.items()
        } == {name: (node.gpus_seen, node.xid, node.row_remap_failure) for name, node in direct.items()}
        assert not join(scraped.keys(), keys).unjoined_names
        name = next(iter(direct))
        rows, own = (await scraper.by_gpu([name]))[name], (await exporters.by_gpu([name]))[name]
        assert [(row.gpu, row.uuid, row.model, row.xid) for row in rows] == [
            (row.gpu, row.uuid, row.model, row.xid) for row in own
        ]
