"""Exporters that vanish, lie, rename their labels in mid-run or show a GPU twice, over real HTTP: read directly, through a real
Prometheus, and through a second one that federates it twice, as a pair for high availability would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from backends.dcgm_exporter.scrape import DcgmExporterSource
from backends.prometheus.client import PrometheusSettings, PrometheusSource
from fleet.category import Category
from fleet.gate import GateChecker
from fleet.gpu_checks import FROM_TELEMETRY
from fleet.health import Finding, Verdict, verdict_of
from fleet.node import NodeKey, Readiness
from fleet.observation import NodeSeen, Observation, TelemetrySeen
from fleet.plan import NodeFacts
from fleet.policy import Policy
from fleet.ports import TelemetryRead
from fleet.severity import Severity, concerns
from fleet.store import FleetStore
from fleet.telemetry import GpuTelemetry
from fleet.telemetry_feed import TelemetryFeed
from tests import builders
from tests.contract.test_real_prometheus import BLANK, PATIENCE, Pages, WallClock, healthy, running

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("prometheus-scale")]

NODES = [NodeKey("lab", f"lie-{number}") for number in range(1, 10)]
LIES, TWICE, RENAMED, SWAPPED, GONE, OLD, HELD, COUNTED, REPLACED = (key.name for key in NODES)

SCRAPING = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- {{job_name: lies, metrics_path: /lies, static_configs: [{{targets: ["{target}"]}}]}}
- {{job_name: one, metrics_path: /one, static_configs: [{{targets: ["{target}"]}}]}}
- {{job_name: other, metrics_path: /other, static_configs: [{{targets: ["{target}"], labels: {{instance: "10.0.0.2:9400"}}}}]}}
- {{job_name: renamed, metrics_path: /renamed, static_configs: [{{targets: ["{target}"]}}]}}
- {{job_name: swapped, metrics_path: /swapped, static_configs: [{{targets: ["{target}"]}}]}}
- {{job_name: gone, metrics_path: /gone, static_configs: [{{targets: ["{target}"]}}]}}
- {{job_name: old, metrics_path: /old, static_configs: [{{targets: ["{target}"]}}]}}
- {{job_name: held, metrics_path: /held, static_configs: [{{targets: ["{target}"],
   labels: {{pod: nvidia-dcgm-exporter-x1, namespace: gpu-operator, container: exporter}}}}]}}
- {{job_name: counted, metrics_path: /counted, static_configs: [{{targets: ["{target}"]}}]}}
- {{job_name: replaced, metrics_path: /replaced, static_configs: [{{targets: ["{target}"]}}]}}
"""
FEDERATED = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- {{job_name: first, honor_labels: true, metrics_path: /federate, params: {{"match[]": ['{{__name__=~"DCGM_.*"}}']}},
   static_configs: [{{targets: ["{first}"], labels: {{replica: a}}}}]}}
- {{job_name: second, metrics_path: /federate, params: {{"match[]": ['{{__name__=~"DCGM_.*"}}']}},
   static_configs: [{{targets: ["{first}"], labels: {{replica: b}}}}]}}
"""

Source = PrometheusSource | DcgmExporterSource
Rows = Mapping[str, Sequence[GpuTelemetry]]


def host(name: str) -> str:
    return f'Hostname="{name}"'


def impossible() -> str:
    """Eight GPUs of one node: seven ways to say nothing, and one that reads as it should."""
    lies = [
        {"GPU_UTIL": "-5", "GPU_TEMP": "-40", "POWER_USAGE": "-1", "FB_USED": "-100"},
        {"GPU_UTIL": "NaN", "GPU_TEMP": "NaN", "POWER_USAGE": "NaN", "FB_USED": "NaN"},
        {"GPU_UTIL": "+Inf", "GPU_TEMP": "+Inf", "POWER_USAGE": "+Inf", "FB_USED": "+Inf"},
        {"GPU_UTIL": "-Inf", "GPU_TEMP": "-Inf", "POWER_USAGE": "-Inf", "FB_USED": "-Inf"},
        {"GPU_UTIL": BLANK, "GPU_TEMP": BLANK, "POWER_USAGE": BLANK, "FB_USED": BLANK},
        {
            "GPU_UTIL": "2147483632",
            "GPU_TEMP": "2147483634",
            "POWER_USAGE": "140737488355328",
            "FB_USED": BLANK,
        },
        {"GPU_UTIL": "808334905", "GPU_TEMP": "4294967295", "POWER_USAGE": "9.3e18", "FB_USED": "1e30"},
    ]
    busy = healthy(host(LIES), 7, GPU_UTIL="97", GPU_TEMP="0", MEMORY_TEMP="0", XID_ERRORS="NaN")
    return "".join(healthy(host(LIES), index, **lie) for index, lie in enumerate(lies)) + busy


def stamped(page: str, age: timedelta) -> str:
    """The page with a time of its own on every line, as a gateway or a federation gives it."""
    at = int((time.time() - age.total_seconds()) * 1000)
    return "".join(f"{line} {at}\n" for line in page.splitlines())


def card(name: str, index: int, uuid: str, **values: str) -> str:
    return healthy(name, index, **values).replace(f'UUID="GPU-{index}"', f'UUID="{uuid}"')


def first_pages() -> dict[str, str]:
    return {
        "/lies": impossible(),
        "/one": healthy(host(TWICE), 0, POWER_USAGE="300", PCIE_REPLAY_COUNTER="4"),
        "/other": healthy(host(TWICE), 0, POWER_USAGE="310", PCIE_REPLAY_COUNTER="4", XID_ERRORS="79"),
        "/renamed": healthy(host(RENAMED), 0) + healthy(host(RENAMED), 1),
        "/swapped": card(host(SWAPPED), 0, "GPU-a", XID_ERRORS="79") + card(host(SWAPPED), 1, "GPU-b"),
        "/gone": healthy(host(GONE), 0),
        "/old": stamped(healthy(host(OLD), 0), timedelta(seconds=150)),
        "/held": healthy(f'{host(HELD)},pod="train-0",namespace="team",container="main"', 0),
        "/counted": healthy(host(COUNTED), 0, PCIE_REPLAY_COUNTER="900", UNCORRECTABLE_REMAPPED_ROWS="3"),
        "/replaced": stamped(card(host(REPLACED), 0, "GPU-old", XID_ERRORS="79"), timedelta(seconds=100))
        + card(host(REPLACED), 0, "GPU-new"),
    }


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    served = Pages()
    served.pages.clear()
    yield served
    served.close()


@pytest.fixture(scope="module")
def prometheus(pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("scraping"), SCRAPING.format(target=pages.target)) as url:
        yield url


@pytest.fixture(scope="module")
def federation(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = FEDERATED.format(first=prometheus.removeprefix("http://"))
    with running(tmp_path_factory.mktemp("federating"), config) as url:
        yield url


@dataclass(frozen=True)
class Path:
    """One way to the exporters, whose pages can be changed under it."""

    source: Source
    pages: Pages
    keeps_what_ended: bool = (
        False  # a federated series is not taken back when it ends, but kept for five minutes
    )

    def serve(self, pages: Mapping[str, str | None]) -> None:
        """Pages by their path, None for one that is gone; `/all` has every one that is there."""
        for name, page in pages.items():
            if page is None:
                self.pages.pages.pop(name, None)
            else:
                self.pages.pages[name] = page
        self.pages.pages["/all"] = "".join(page for name, page in self.pages.pages.items() if name != "/all")

    async def until(self, enough: Callable[[TelemetryRead], bool]) -> TelemetryRead:
        end = time.monotonic() + PATIENCE
        while not enough(read := await self.source.by_node()):
            assert time.monotonic() < end, f"it never said so: {read}"
            await asyncio.sleep(0.2)
        return read

    async def rows_until(
        self, name: str, enough: Callable[[Sequence[GpuTelemetry]], bool]
    ) -> Sequence[GpuTelemetry]:
        await self.until(lambda read: name in read.nodes)
        end = time.monotonic() + PATIENCE
        while not enough(rows := (await self.source.by_gpu([name])).get(name, ())):
            assert time.monotonic() < end, f"its GPUs never said so: {rows}"
            await asyncio.sleep(0.2)
        return rows


@pytest.fixture(params=["direct", "prometheus", "federation"])
async def path(request: pytest.FixtureRequest, pages: Pages) -> AsyncIterator[Path]:
    """Each way in turn, with the pages as they were at first."""
    clock = WallClock()
    async with AsyncExitStack() as stack:
        source: Source
        if request.param == "direct":
            source = DcgmExporterSource([f"http://{pages.target}/all"], clock, lambda: NODES)
        else:
            url = request.getfixturevalue(request.param)
            source = PrometheusSource(PrometheusSettings(url), clock, lambda: NODES)
        stack.push_async_callback(source.close)
        way = Path(source, pages, request.param == "federation")
        way.serve(first_pages())
        yield way


async def test_what_no_gpu_can_be_is_unknown_and_carries_no_sum_away(path: Path) -> None:
    read = await path.until(lambda read: LIES in read.nodes)
    node = read.nodes[LIES]
    assert (node.gpu_util, node.gpu_util_min, node.gpu_util_max) == (97, 97, 97)
    assert (node.gpu_temp_max, node.power_watts) == (None, 300.5)
    rows = (await path.source.by_gpu([LIES]))[LIES]
    assert len(rows) == 8
    for row in rows[:7]:
        assert (row.util, row.temp, row.power_watts, row.fb_used_mib) == (None, None, None, None), row.gpu
    assert (rows[7].util, rows[7].temp, rows[7].memory_temp, rows[7].xid) == (97, None, None, None)


async def test_a_gpu_that_two_exporters_show_is_one_with_the_graver_of_its_codes(path: Path) -> None:
    read = await path.until(lambda read: TWICE in read.nodes and read.nodes[TWICE].xid == 79)
    node = read.nodes[TWICE]
    assert (node.gpus_seen, node.power_watts, node.gpu_util) == (1, 310, 50)
    (row,) = (await path.source.by_gpu([TWICE]))[TWICE]
    assert (row.power_watts, row.pcie_replays, row.xid) == (310, 4, 79)


async def test_labels_that_are_renamed_in_mid_run_leave_every_gpu_where_it_was(path: Path) -> None:
    before = await path.rows_until(RENAMED, lambda rows: len(rows) == 2)
    renamed = first_pages()["/renamed"]
    for old, new in (("Hostname=", "hostname="), ("gpu=", "GPU="), ("UUID=", "uuid=")):
        renamed = renamed.replace(old, new)
    util = max(row.util or 0 for row in before) + 1
    path.serve({"/renamed": renamed.replace("} 50\n", f"}} {util:g}\n")})
    after = await path.rows_until(
        RENAMED, lambda rows: len(rows) == 2 and all(row.util == util for row in rows)
    )
    assert [(row.gpu, row.uuid) for row in after] == [(row.gpu, row.uuid) for row in before]
    node = (await path.until(lambda read: RENAMED in read.nodes)).nodes[RENAMED]
    assert (node.gpus_seen, node.gpu_util_max, node.power_watts) == (2, util, 601)


async def test_gpus_that_swap_their_numbers_in_a_reboot_keep_their_faults(path: Path) -> None:
    first, second = await path.rows_until(
        SWAPPED, lambda rows: [row.uuid for row in rows] == ["GPU-a", "GPU-b"]
    )
    assert [(first.gpu, first.uuid, first.xid), (second.gpu, second.uuid, second.xid)] == [
        ("0", "GPU-a", 79),
        ("1", "GPU-b", 0),
    ]
    swapped = card(host(SWAPPED), 1, "GPU-a", XID_ERRORS="79") + card(host(SWAPPED), 0, "GPU-b")
    path.serve({"/swapped": swapped})
    rows = await path.rows_until(SWAPPED, lambda rows: [row.uuid for row in rows] == ["GPU-b", "GPU-a"])
    assert [(row.gpu, row.xid) for row in rows] == [("0", 0), ("1", 79)]
    node = (await path.until(lambda read: SWAPPED in read.nodes)).nodes[SWAPPED]
    assert node.gpus_seen == 2
    if path.keeps_what_ended:
        assert WallClock().now() - node.at > timedelta(0), "as old as what ended, and so unknown when that is"
    else:
        assert node.power_watts == 601


async def test_a_card_that_was_replaced_is_counted_once_while_what_told_of_the_old_one_still_stands(
    path: Path,
) -> None:
    (row,) = await path.rows_until(
        REPLACED, lambda rows: "GPU-old" not in {row.uuid for row in rows} and bool(rows)
    )
    assert (row.gpu, row.uuid, row.xid) == ("0", "GPU-new", 0)
    assert row.at is not None
    assert WallClock().now() - row.at < timedelta(seconds=60)


async def test_a_counter_that_begins_anew_is_what_it_says_and_never_less_than_nothing(path: Path) -> None:
    (row,) = await path.rows_until(COUNTED, lambda rows: bool(rows) and rows[0].pcie_replays == 900)
    assert row.remapped_uncorrectable == 3
    path.serve(
        {"/counted": healthy(host(COUNTED), 0, PCIE_REPLAY_COUNTER="1", UNCORRECTABLE_REMAPPED_ROWS="0")}
    )
    (row,) = await path.rows_until(COUNTED, lambda rows: bool(rows) and rows[0].pcie_replays == 1)
    assert row.remapped_uncorrectable == 0


async def test_the_pod_that_has_a_gpu_is_told_from_the_exporter_s_own(path: Path) -> None:
    (row,) = await path.rows_until(HELD, lambda rows: len(rows) == 1)
    assert row.held_by == "team/train-0"


def followed(
    path: Path, fresh: timedelta
) -> tuple[FleetStore, TelemetryFeed, Callable[[Sequence[Observation]], None]]:
    """A store with the fleet's nodes, a feed that tells it what the exporters say, and how it is told."""
    store = FleetStore()
    for key in NODES:
        node = replace(builders.node(key.name), key=key, gpus_capacity=1, gpus_allocatable=1)
        store.apply(NodeSeen(node))
    feed = TelemetryFeed(path.source, lambda: NODES, WallClock(), every=timedelta(0), fresh=fresh)

    def report(news: Sequence[Observation]) -> None:
        for each in news:
            store.apply(each)

    return store, feed, report


async def test_an_exporter_that_vanishes_leaves_its_node_unknown_and_flagged(path: Path) -> None:
    store, feed, report = followed(path, timedelta(seconds=5))
    gone, other = NodeKey("lab", GONE), NodeKey("lab", COUNTED)
    told: list[Observation] = []

    def keep(news: Sequence[Observation]) -> None:
        told.extend(news)
        report(news)

    async def until(*, known: bool) -> float:
        began = time.monotonic()
        while (store.rows_by_key[gone].telemetry is not None) is not known:
            assert time.monotonic() - began < PATIENCE
            await feed.one_round(keep)
            await asyncio.sleep(0.2)
        return time.monotonic() - began

    await until(known=True)
    path.serve({"/gone": None})
    took = await until(known=False)
    assert took < 12, "longer than the 5 s that were promised and a scrape or two"
    seen = [each.telemetry for each in told if isinstance(each, TelemetrySeen) and each.key == gone]
    assert all(each is None or each.gpu_util == 50 for each in seen), "it was never said to be idle"
    row = store.rows_by_key[gone]
    assert [each.text for each in concerns(row, None, Policy()) if each.severity is Severity.UNKNOWN] == [
        "no telemetry"
    ]
    assert store.rows_by_key[other].telemetry is not None


async def test_samples_are_as_old_as_they_say_and_old_ones_are_unknown(path: Path) -> None:
    read = await path.until(lambda read: OLD in read.nodes)
    age = WallClock().now() - read.nodes[OLD].at
    assert timedelta(seconds=140) < age < timedelta(seconds=200)
    store, feed, report = followed(path, timedelta(minutes=2))
    await feed.one_round(report)
    assert store.rows_by_key[NodeKey("lab", OLD)].telemetry is None
    assert store.rows_by_key[NodeKey("lab", COUNTED)].telemetry is not None


async def judged(path: Path, name: str, gpus: int) -> tuple[Verdict, Mapping[str, Finding]]:
    """What a gate makes of a node of so many GPUs by what its exporter says."""
    feed = TelemetryFeed(path.source, lambda: NODES, WallClock())
    node = replace(
        builders.node(name),
        key=NodeKey("lab", name),
        readiness=Readiness.READY,
        gpus_capacity=gpus,
        gpus_allocatable=gpus,
    )
    checker = GateChecker(Policy(), WallClock(), feed.readings)
    found = await checker.findings(NodeFacts(node), Category(node.category, expected_gpus=gpus))
    of_gpus = [finding for finding in found if finding.check in FROM_TELEMETRY]
    return verdict_of(of_gpus), {finding.check: finding for finding in of_gpus}


async def test_a_gate_takes_no_lie_for_a_healthy_gpu(path: Path) -> None:
    await path.until(lambda read: {LIES, TWICE, RENAMED, SWAPPED, OLD, REPLACED} <= read.nodes.keys())
    verdicts = {
        name: (await judged(path, name, gpus))[0]
        for name, gpus in ((LIES, 8), (TWICE, 1), (RENAMED, 2), (SWAPPED, 2), (OLD, 1), (REPLACED, 1))
    }
    assert verdicts == {
        LIES: Verdict.UNKNOWN,
        TWICE: Verdict.FAIL,
        RENAMED: Verdict.PASS,
        SWAPPED: Verdict.FAIL,
        OLD: Verdict.UNKNOWN,
        REPLACED: Verdict.PASS,
    }
    lies = (await judged(path, LIES, 8))[1]
    assert (lies["telemetry"].verdict, lies["telemetry"].value) == (Verdict.UNKNOWN, "1 GPU reporting")
    assert lies["temperature"].verdict is Verdict.UNKNOWN


async def test_a_gate_of_a_node_whose_exporter_vanished_is_unknown_and_says_so(path: Path) -> None:
    await path.until(lambda read: GONE in read.nodes)
    assert (await judged(path, GONE, 1))[0] is Verdict.PASS
    path.serve({"/gone": None})
    if path.keeps_what_ended:
        return  # it is as old as that series by then, which grows old in its own time
    await path.until(lambda read: GONE not in read.nodes)
    verdict, found = await judged(path, GONE, 1)
    assert verdict is Verdict.UNKNOWN
    assert found["telemetry"].value in ("no series joins this node", "none")
