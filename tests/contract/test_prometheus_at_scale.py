"""A real Prometheus over the simulator at 60 and at 1,000 nodes: complete, the same with rules as without, and quick enough.

The large fleet's exporters are one page of the simulator's readings, of the metrics that the fleet's table shows, served as it
is at every scrape: what is tried is Prometheus, the questions and what is made of the answers, not the simulator's speed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from backends.dcgm_exporter.scrape import DcgmExporterSource
from backends.prometheus import queries
from backends.prometheus.answers import Answer, Series
from backends.prometheus.client import PrometheusSettings, PrometheusSource
from backends.simulated.exporter import page
from backends.simulated.fleet_plan import plan_fleet
from backends.simulated.serve import Simulation, serve
from fleet.joining import join
from fleet.node import NodeKey
from fleet.observation import Observation, TelemetrySeen
from fleet.ports import TelemetryRead
from fleet.telemetry import NodeTelemetry
from fleet.telemetry_feed import TelemetryFeed
from tests.contract.test_real_prometheus import PATIENCE, Pages, WallClock, read_until, running
from tests.contract.test_recorded_rules import RULES, RawSource

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("prometheus-scale")]

SHOWN = ("GPU_UTIL", "GPU_TEMP", "FB_USED", "FB_FREE", "POWER_USAGE", "XID_ERRORS", "ROW_REMAP_FAILURE")
EACH = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs: [{{job_name: dcgm, http_sd_configs: [{{url: "{targets}?fields=more", refresh_interval: 5s}}]}}]
"""
ONE_PAGE = """
global: {{scrape_interval: 2s, scrape_timeout: 2s}}
scrape_configs: [{{job_name: dcgm, metrics_path: /fleet, static_configs: [{{targets: ["{target}"]}}]}}]
"""


@asynccontextmanager
async def simulated(nodes: int) -> AsyncIterator[tuple[Simulation, list[NodeKey]]]:
    async with serve(WallClock(), plan=plan_fleet(nodes, 0)) as simulation:
        yield simulation, [NodeKey("simulated", plan.name) for plan in simulation.world.plan.nodes]


@asynccontextmanager
async def scraping(folder: Path, config: str) -> AsyncIterator[str]:
    prometheus = running(folder, config)
    url = await asyncio.to_thread(prometheus.__enter__)
    try:
        yield url
    finally:
        await asyncio.to_thread(prometheus.__exit__, None, None, None)


def differing(told: NodeTelemetry, without: NodeTelemetry) -> list[str]:
    """Fields that differ by more than a few seconds of a wandering sensor make them differ."""
    found = []
    for field in fields(NodeTelemetry):
        one, other = getattr(told, field.name), getattr(without, field.name)
        if field.name == "at":
            same = abs(one - other) < timedelta(seconds=10)
        elif isinstance(one, float) and isinstance(other, float):
            same = one == pytest.approx(other, rel=0.1, abs=3)
        else:
            same = one == other
        if not same:
            found.append(field.name)
    return found


async def test_sixty_nodes_are_told_whole_and_the_same_with_rules_as_without(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES.read_text().replace("interval: 15s", "interval: 1s"))
    async with simulated(60) as (simulation, keys), contextlib.AsyncExitStack() as stack:
        config = EACH.format(rules=rules, targets=simulation.targets_url)
        url = await stack.enter_async_context(scraping(tmp_path, config))
        clock = WallClock()
        exporters = DcgmExporterSource([f"{simulation.metrics_url}?fields=more"], clock, lambda: keys)
        raw = RawSource(PrometheusSettings(url), clock, lambda: keys)
        stack.push_async_callback(exporters.close)
        stack.push_async_callback(raw.close)
        direct = (await exporters.by_node()).nodes
        read = await read_until(raw, lambda read: read.nodes.keys() == direct.keys())
        assert not join(read.nodes.keys(), keys).unjoined_names
        assert {node.gpus_seen for node in read.nodes.values()} == {
            node.gpus_seen for node in direct.values()
        }
        assert [name for name, node in read.nodes.items() if node.xid != direct[name].xid] == []
        told = await recorded_of(url, keys, stack)
        again = RawSource(
            PrometheusSettings(url), clock, lambda: keys
        )  # idle GPUs are asked for once a minute
        stack.push_async_callback(again.close)
        without = (await again.by_node()).nodes
        assert told.nodes.keys() == without.keys()
        different = {name: differing(told.nodes[name], node) for name, node in without.items()}
        assert {name: names for name, names in different.items() if names} == {}
        name = next(iter(direct))
        rows, own = (await raw.by_gpu([name]))[name], (await exporters.by_gpu([name]))[name]
        assert [(row.uuid, row.xid, row.vbios, row.pcie_width) for row in rows] == [
            (row.uuid, row.xid, row.vbios, row.pcie_width) for row in own
        ]


async def recorded_of(url: str, keys: list[NodeKey], stack: contextlib.AsyncExitStack) -> TelemetryRead:
    """A reading from the recorded series, once they say what the raw ones say."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        source = PrometheusSource(PrometheusSettings(url), WallClock(), lambda: keys)
        stack.push_async_callback(source.close)
        read = await source.by_node()
        if source.uses_rules and read.nodes:
            return read
        await asyncio.sleep(0.3)
    pytest.fail("the recorded series never agreed with the raw ones")


async def test_a_thousand_nodes_are_read_in_little_more_than_the_questions_take(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    pages, clock = Pages(), WallClock()
    async with simulated(1000) as (simulation, keys), contextlib.AsyncExitStack() as stack:
        stack.callback(pages.close)
        machines = list(simulation.world.exporting())
        pages.pages["/fleet"] = short(page(machines, simulation.world.now))
        url = await stack.enter_async_context(scraping(tmp_path, ONE_PAGE.format(target=pages.target)))
        source = PrometheusSource(PrometheusSettings(url), clock, lambda: keys)
        stack.push_async_callback(source.close)
        await read_until(source, lambda read: len(read.nodes) == len(machines))
        told: list[Observation] = []
        feed = TelemetryFeed(source, lambda: keys, clock)
        refresh = await timed(lambda: feed.one_round(told.extend))
        seen = {each.key for each in told if isinstance(each, TelemetrySeen) and each.telemetry is not None}
        assert len(seen) == len(machines)
        shape = source.shape
        assert shape is not None
        asked = [query for name, query in queries.by_node(shape, {}).items() if name != queries.IDLE]
        async with aiohttp.ClientSession() as session:
            bare = await timed(lambda: together(session, url, asked))
        record_property("telemetry refresh, seconds", round(refresh, 3))
        record_property("the same questions over bare HTTP, seconds", round(bare, 3))
        print(f"1,000 nodes: refresh {refresh:.3f} s, bare HTTP of the same questions {bare:.3f} s")
        assert refresh < 4 * bare + 2


def short(pieces: Iterable[str]) -> str:
    """The page with the metrics that the table shows, and the labels that it reads: a third of the bytes."""
    wanted = tuple(f"DCGM_FI_DEV_{name}{{" for name in SHOWN)
    lines = "".join(pieces).splitlines(keepends=True)
    unread = re.compile(r'(?:pci_bus_id|device|modelName|DCGM_FI_DRIVER_VERSION|container)="[^"]*",?')
    return "".join(unread.sub("", line) for line in lines if line.startswith(wanted))


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """The shortest of three times, in seconds."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        await work()
        took.append(time.perf_counter() - began)
    return min(took)


async def together(session: aiohttp.ClientSession, url: str, asked: list[str]) -> None:
    """Every question over plain HTTP, four at once as the source asks them, the answers read and thrown away."""
    places = asyncio.Semaphore(4)

    async def one(query: str) -> None:
        async with places, session.get(f"{url}/api/v1/query?query={quote(query)}") as answer:
            assert answer.status == 200
            await answer.read()

    await asyncio.gather(*map(one, asked))


class Skipping(WallClock):
    """The wall's clock, `ahead` of it by some seconds as far as spans are measured."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Counted(PrometheusSource):
    """Keeps the questions that it asks."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asked: list[str] = []
        self.ranges: list[str] = []

    async def ask(self, query: str) -> Answer:
        self.asked.append(query)
        return await super().ask(query)

    async def ask_range(
        self, query: str, start: datetime, end: datetime, step: timedelta
    ) -> Sequence[Series]:
        self.ranges.append(query)
        return await super().ask_range(query, start, end, step)

    def counted(self) -> tuple[int, int]:
        """How many questions of now and of the past there were since this was last asked."""
        told = len(self.asked), len(self.ranges)
        self.asked.clear()
        self.ranges.clear()
        return told


async def test_the_ages_of_xids_cost_a_few_questions_however_large_the_fleet_is(tmp_path: Path) -> None:
    pages, keys = Pages(), [NodeKey("lab", f"big-{number}") for number in range(1000)]
    pages.pages["/fleet"] = "".join(
        f'DCGM_FI_DEV_FB_USED{{Hostname="{key.name}",gpu="{gpu}",UUID="GPU-{n}-{gpu}"}} 8\n'
        f'DCGM_FI_DEV_XID_ERRORS{{Hostname="{key.name}",gpu="{gpu}",UUID="GPU-{n}-{gpu}"}} {79 if n < 60 and gpu < 2 else 0}\n'
        for n, key in enumerate(keys)
        for gpu in range(8)
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(pages.close)
        url = await stack.enter_async_context(scraping(tmp_path, ONE_PAGE.format(target=pages.target)))
        clock = Skipping()
        source = Counted(PrometheusSettings(url), clock, lambda: keys)
        stack.push_async_callback(source.close)
        await read_until(source, lambda read: len(read.nodes) == len(keys))
        source.counted()
        await source.by_node()
        now, past = source.counted()
        assert (now <= 20, past) == (True, 0), "a reading asks for no past"
        costs = []
        for _ in range(5):
            clock.ahead += 120  # longer than it rests between two rounds
            await source.date_xids()
            costs.append(source.counted())
        assert costs == [(1, 1)] * 3 + [(0, 0)] * 2, "60 nodes, 25 at a time, and none of them twice"
        await source.by_node()
        clock.ahead += 120
        source.counted()
        await source.date_xids()
        assert source.counted() == (0, 0), "what did not change is not asked for again"
