"""A real Prometheus that holds a day of GPUs answers our range queries: gaps are gaps, blanks are holes, a GPU is one line."""

from __future__ import annotations

import asyncio
import math
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from backends.prometheus.client import PrometheusSettings, PrometheusSource
from fleet.errors import TimedOut, Unreachable
from fleet.history import SPANS, Metric, NodeHistory, Span
from fleet.node import NodeKey
from tests.contract.test_real_prometheus import WallClock, running
from tests.servers import require

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("prometheus-scale")]

NODES = [NodeKey("lab", f"gpu-{number}") for number in range(1, 6)]
QUARTER, HOUR, SIX_HOURS, DAY = SPANS
SCRAPE = 15
BLANK = 9223372036854775794
LONG = "x" * 40_000


def block(host: str, gpu: int, **more: str) -> str:
    labels = {"Hostname": host, "gpu": str(gpu), "UUID": f"GPU-{host}-{gpu}", **more}
    return ",".join(f'{name}="{value}"' for name, value in labels.items())


def lines(now: int) -> Iterator[str]:
    """A day of four nodes, one sample a minute, and the last hour every 15 s."""
    times = [*range(now - 86_400, now - 3_600, 60), *range(now - 3_600, now + 1, SCRAPE)]

    def series(metric: str, labels: str, value: object) -> Iterator[str]:
        for at in times:
            said = value(now - at) if callable(value) else value
            if said is not None:
                yield f"{metric}{{{labels}}} {said} {at}\n"

    util = "DCGM_FI_DEV_GPU_UTIL"
    yield f"# TYPE {util} gauge\n"
    yield from series(util, block("gpu-1", 0), 40)
    yield from series(util, block("gpu-1", 1), lambda ago: None if 300 <= ago < 660 else 80)
    yield from series(util, block("gpu-1", 2), lambda ago: BLANK if ago < 120 else "NaN" if ago < 240 else 10)
    yield from series(util, block("gpu-2.example.com", 0, pod="train-0", namespace="ml"), 0)
    yield from series(
        util, block("gpu-2.example.com", 1, pod="train-0", namespace="ml"), lambda ago: 60 if ago < 900 else 0
    )
    yield from series(
        util,
        block("gpu-2.example.com", 2, pod="young-0", namespace="ml"),
        lambda ago: 0 if ago < 300 else None,
    )
    yield from series(util, block("gpu-4", 0, pod=LONG), 5)
    yield "# TYPE DCGM_FI_DEV_GPU_TEMP gauge\n"
    yield from series(
        "DCGM_FI_DEV_GPU_TEMP", block("gpu-1", 0), lambda ago: 91 if 7_200 <= ago < 7_300 else 60
    )
    yield "# TYPE DCGM_FI_DEV_SLOWDOWN_TEMP gauge\n"
    yield from series("DCGM_FI_DEV_SLOWDOWN_TEMP", block("gpu-1", 0), 87)
    for metric, value in (("FB_USED", 300), ("FB_FREE", 600), ("FB_RESERVED", 100), ("POWER_USAGE", 412.5)):
        yield f"# TYPE DCGM_FI_DEV_{metric} gauge\n"
        yield from series(f"DCGM_FI_DEV_{metric}", block("gpu-1", 0), value)
        if metric == "FB_USED":
            yield from series(
                "DCGM_FI_DEV_FB_USED", block("gpu-3", 0, GPU_I_ID="7", GPU_I_PROFILE="1g.10gb"), 5
            )
    yield "# TYPE DCGM_FI_PROF_GR_ENGINE_ACTIVE gauge\n"
    for instance in ("13", "7"):
        mig = block("gpu-3", 0, GPU_I_ID=instance, GPU_I_PROFILE="1g.10gb")
        yield from series("DCGM_FI_PROF_GR_ENGINE_ACTIVE", mig, 0.25)
    for field, value in (
        ("gpu_util", 33),
        ("gpu_temp_max", 71),
        ("power_watts", 900),
        ("fb_used_ratio", 0.5),
    ):
        yield f"# TYPE quarterdeck:node_{field} gauge\n"
        yield from series(f"quarterdeck:node_{field}", 'Hostname="gpu-5"', value)
    yield "# EOF\n"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    past = folder / "past.om"
    past.write_text("".join(lines(int(time.time()))))
    command = [
        str(require("promtool")),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        str(past),
        str(folder / "tsdb"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    with running(folder, "scrape_configs: []\n") as url:
        yield url


def told(url: str, name: str, span: Span) -> NodeHistory:
    async def ask() -> NodeHistory:
        source = PrometheusSource(PrometheusSettings(url), WallClock(), lambda: NODES)
        try:
            return await source.history(name, span)
        finally:
            await source.close()

    return asyncio.run(ask())


def values(history: NodeHistory, metric: Metric, name: str) -> tuple[float | None, ...]:
    return next(line.values for line in history.of(metric) if line.name == name)


@pytest.mark.parametrize("span", SPANS)
def test_every_span_has_its_steps_and_no_more(prometheus: str, span: Span) -> None:
    history = told(prometheus, "gpu-1", span)
    assert [line.name for line in history.of(Metric.UTIL)] == ["0", "1", "2"]
    line = values(history, Metric.UTIL, "0")
    assert len(line) == span.steps <= 300
    assert set(line[1:]) == {40.0}


def test_all_four_metrics_and_the_threshold_are_read(prometheus: str) -> None:
    history = told(prometheus, "gpu-1", HOUR)
    last = {metric: history.of(metric)[0].last for metric in Metric}
    assert last == {Metric.UTIL: 40, Metric.TEMP: 60, Metric.POWER: 412.5, Metric.MEMORY: 30}
    assert (history.slowdown, history.source) == (87, "prometheus")


def test_a_time_without_scrapes_is_a_gap(prometheus: str) -> None:
    line = values(told(prometheus, "gpu-1", QUARTER), Metric.UTIL, "1")
    known = [value for value in line if value is not None]
    assert set(known) == {80.0}
    assert None in line
    assert line[-1] == 80.0


def test_blanks_and_nan_are_holes_and_do_not_carry_a_mean_away(prometheus: str) -> None:
    assert values(told(prometheus, "gpu-1", QUARTER), Metric.UTIL, "2")[-5:] == (None,) * 5
    for span in SPANS:
        known = [
            value for value in values(told(prometheus, "gpu-1", span), Metric.UTIL, "2") if value is not None
        ]
        assert set(known) == {10.0}


def test_a_short_peak_of_heat_shows_in_a_day(prometheus: str) -> None:
    line = values(told(prometheus, "gpu-1", DAY), Metric.TEMP, "0")
    assert max(value for value in line if value is not None) == 91


def test_mig_instances_are_lines_by_their_engine(prometheus: str) -> None:
    history = told(prometheus, "gpu-3", QUARTER)
    assert [(line.name, line.last) for line in history.of(Metric.UTIL)] == [("0.7", 25), ("0.13", 25)]


def test_a_node_is_asked_for_as_its_series_call_it_and_a_long_label_does_no_harm(prometheus: str) -> None:
    assert values(told(prometheus, "gpu-2.example.com", QUARTER), Metric.UTIL, "0")[-1] == 0
    assert values(told(prometheus, "gpu-4", QUARTER), Metric.UTIL, "0")[-1] == 5


def test_what_was_recorded_stands_in_where_no_gpu_is_kept(prometheus: str) -> None:
    history = told(prometheus, "gpu-5", DAY)
    assert {metric: [(line.name, line.last) for line in history.of(metric)] for metric in Metric} == {
        Metric.UTIL: [("mean", 33)],
        Metric.TEMP: [("hottest", 71)],
        Metric.POWER: [("all", 900)],
        Metric.MEMORY: [("all", 50)],
    }


def test_a_node_without_series_has_no_history(prometheus: str) -> None:
    assert not told(prometheus, "nobody", HOUR)


def test_a_name_with_the_signs_of_a_pattern_is_only_a_name(prometheus: str) -> None:
    assert not told(prometheus, 'gpu-.*"}', HOUR)


def test_held_and_idle_is_who_was_so_for_the_whole_time(prometheus: str) -> None:
    async def ask() -> tuple[int | None, str]:
        source = PrometheusSource(PrometheusSettings(prometheus), WallClock(), lambda: NODES)
        try:
            node = (await source.by_node()).nodes["gpu-2.example.com"]
        finally:
            await source.close()
        return node.idle_held, node.idle_holder

    assert asyncio.run(ask()) == (1, "ml/train-0")


def test_a_prometheus_that_is_gone_is_an_error_that_says_so() -> None:
    with pytest.raises(Unreachable):
        told("http://127.0.0.1:9", "gpu-1", HOUR)


def test_a_prometheus_that_is_slow_is_given_up(prometheus: str) -> None:
    async def ask() -> None:
        settings = PrometheusSettings(prometheus, deadline=timedelta(microseconds=1))
        source = PrometheusSource(settings, WallClock(), lambda: NODES)
        try:
            await source.history("gpu-1", HOUR)
        finally:
            await source.close()

    with pytest.raises(TimedOut, match="no answer within"):
        asyncio.run(ask())


def test_a_mean_of_a_step_is_a_number(prometheus: str) -> None:
    line = values(told(prometheus, "gpu-1", SIX_HOURS), Metric.UTIL, "1")
    assert all(value is None or math.isfinite(value) for value in line)
