"""A real Prometheus that holds a day of XIDs tells when each appeared, and of which no age can be told."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from backends.prometheus.client import PrometheusSettings, PrometheusSource
from fleet.drift import Versions
from fleet.node import NodeKey
from fleet.replays import gained
from fleet.telemetry import REPLAYS_OVER, GpuTelemetry, NodeTelemetry, Replays
from fleet.timeline import Entry
from tests.contract.test_real_prometheus import WallClock, running
from tests.servers import require

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("prometheus")]

NODES = [NodeKey("lab", "gpu-1"), NodeKey("lab", "gpu-2")]
DAY = 86_400
NOW = int(time.time())


def lines() -> Iterator[str]:
    """A sample a minute for a day: XIDs that appeared, one that was there before, blanks, and a gauge that went back."""
    times = range(NOW - DAY, NOW + 1, 60)
    versions = 'DCGM_FI_DRIVER_VERSION="570.1",DCGM_FI_DEV_VBIOS_VERSION="96.00"'

    def series(host: str, gpu: int, value: object, more: str = "") -> Iterator[str]:
        for at in times:
            said = value(NOW - at) if callable(value) else value
            if said is not None:
                yield f'DCGM_FI_DEV_XID_ERRORS{{Hostname="{host}",gpu="{gpu}",{versions}{more}}} {said} {at}\n'

    yield "# TYPE DCGM_FI_DEV_XID_ERRORS gauge\n"
    yield from series("gpu-1", 0, lambda ago: 0 if ago > 7_200 else None)
    yield from series("gpu-1", 0, lambda ago: None if ago > 7_200 else 79, ',err_code="79"')
    yield from series("gpu-1", 1, 48)
    yield from series("gpu-1", 2, lambda ago: 9223372036854775794 if ago > 3_600 else 0)
    yield from series("gpu-1", 3, lambda ago: 94 if 20_000 < ago < 30_000 else 0)
    yield from series("gpu-2", 0, lambda ago: 31 if ago < 600 else 0)
    yield "# TYPE DCGM_FI_DEV_FB_USED gauge\n"
    for host in ("gpu-1", "gpu-2"):
        for at in range(NOW - 3_600, NOW + 1, 60):
            yield f'DCGM_FI_DEV_FB_USED{{Hostname="{host}",gpu="0",{versions}}} 8 {at}\n'
    yield "# TYPE DCGM_FI_DEV_PCIE_REPLAY_COUNTER gauge\n"  # a counter's name would have to end in _total
    for gpu, counter in ((0, climbing), (1, lambda ago: 900), (2, begun_anew)):
        for at in range(NOW - 3_600, NOW + 1, 60):
            labels = f'Hostname="gpu-1",gpu="{gpu}",{versions}'
            yield f"DCGM_FI_DEV_PCIE_REPLAY_COUNTER{{{labels}}} {counter(NOW - at)} {at}\n"
    yield "# EOF\n"


def climbing(ago: int) -> int:
    return 500 - ago // 60


def begun_anew(ago: int) -> int:
    return 800 if ago > 600 else 2


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    past = folder / "past.om"
    past.write_text("".join(lines()))
    made = ["tsdb", "create-blocks-from", "openmetrics", str(past), str(folder / "tsdb")]
    subprocess.run([str(require("promtool")), *made], check=True, capture_output=True)
    with running(folder, "scrape_configs: []\n") as url:
        yield url


def told(url: str, name: str, span: timedelta) -> list[Entry]:
    async def ask() -> list[Entry]:
        source = PrometheusSource(PrometheusSettings(url), WallClock(), lambda: NODES)
        until = datetime.fromtimestamp(NOW, UTC)
        try:
            return list(await source.xids_of(name, until - span, until))
        finally:
            await source.close()

    return asyncio.run(ask())


def test_an_xid_is_told_where_it_appeared_and_one_that_was_there_before_without_an_age(
    prometheus: str,
) -> None:
    found = told(prometheus, "gpu-1", timedelta(hours=23))
    by_code = {entry.says.split()[1]: entry for entry in found}
    assert set(by_code) == {"79", "48", "94"}
    fell = by_code["79"]
    assert fell.at is not None
    assert abs((fell.at - datetime.fromtimestamp(NOW - 7_200, UTC)).total_seconds()) <= 400
    assert by_code["48"].at is None
    assert "age unknown" in by_code["48"].says
    assert "on GPU 3" in by_code["94"].says


def test_another_nodes_xids_are_not_told(prometheus: str) -> None:
    assert [entry.says.split()[1] for entry in told(prometheus, "gpu-2", timedelta(hours=2))] == ["31"]
    assert told(prometheus, "gpu-3", timedelta(hours=2)) == []


def test_a_month_is_asked_for_in_steps_that_prometheus_allows(prometheus: str) -> None:
    assert {entry.says.split()[1] for entry in told(prometheus, "gpu-1", timedelta(days=30))} >= {"79"}


def test_the_versions_beside_the_samples_are_told_for_every_node(prometheus: str) -> None:
    async def ask() -> dict[str, Versions]:
        source = PrometheusSource(PrometheusSettings(prometheus), WallClock(), lambda: NODES)
        try:
            return dict(await source.versions())
        finally:
            await source.close()

    assert asyncio.run(ask()) == {host: Versions("570.1", "", "96.00") for host in ("gpu-1", "gpu-2")}


def test_what_the_replay_counters_gained_lately_is_told_by_gpu(prometheus: str) -> None:
    async def ask() -> tuple[Replays, Replays]:
        source = PrometheusSource(PrometheusSettings(prometheus), WallClock(), lambda: NODES)
        try:
            return await source.replays("gpu-1", REPLAYS_OVER), await source.replays("gpu-2", REPLAYS_OVER)
        finally:
            await source.close()

    told, nobody = asyncio.run(ask())
    since = WallClock().now() - REPLAYS_OVER - timedelta(minutes=1)
    gains = {gpu: gained(samples, since) for gpu, samples in told.items()}
    assert gains["0"] == pytest.approx(29, abs=3)
    assert (gains["1"], gains["2"]) == (0, 2)
    assert nobody == {}


def test_what_shows_now_is_dated_for_the_fleet_the_table_and_the_gate(prometheus: str) -> None:
    async def ask() -> tuple[list[GpuTelemetry], list[GpuTelemetry], list[GpuTelemetry], list[NodeTelemetry]]:
        source = PrometheusSource(PrometheusSettings(prometheus), WallClock(), lambda: NODES)
        try:
            nodes = [(await source.by_node()).nodes["gpu-1"]]
            before = [*(await source.by_gpu(["gpu-1"]))["gpu-1"]]
            gated = [*await source.dated("gpu-1", before)]
            await source.date_xids()
            after = [*(await source.by_gpu(["gpu-1"]))["gpu-1"]]
            nodes.append((await source.by_node()).nodes["gpu-2"])
            return before, gated, after, nodes
        finally:
            await source.close()

    before, gated, after, (unasked, dated) = asyncio.run(ask())
    assert [gpu.xid for gpu in before] == [79, 48, 0, 0]
    assert [gpu.xid_at for gpu in before] == [None] * 4
    assert unasked.xid_at is None
    fell = datetime.fromtimestamp(NOW - 7_200, UTC)
    for rows in (gated, after):
        first, second, *others = [gpu.xid_at for gpu in rows]
        assert first is not None
        assert abs((first - fell).total_seconds()) <= 120
        assert (second, others) == (None, [None, None]), "48 was there before the window"
    assert dated.xid == 31
    assert dated.xid_at is not None
    assert abs((dated.xid_at - datetime.fromtimestamp(NOW - 600, UTC)).total_seconds()) <= 120
