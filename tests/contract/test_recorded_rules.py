"""The rules that are shipped: promtool reads and tests them, and a real Prometheus that has them gives the same answers."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from backends.prometheus import recorded
from backends.prometheus.client import PrometheusSettings, PrometheusSource
from backends.prometheus.queries import Shape
from fleet.policy import DEFAULT_FORBIDDEN_XIDS
from fleet.telemetry import NodeTelemetry
from tests.contract.test_real_prometheus import (
    CONFIG,
    NODES,
    PATIENCE,
    Pages,
    WallClock,
    read_until,
    running,
    whole,
)
from tests.servers import require

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("prometheus")]

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = FOLDER / "quarterdeck-rules.yaml"


def shipped() -> dict[str, str]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule.get("record") or rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}


@pytest.mark.parametrize("arguments", [("check", RULES), ("test", FOLDER / "quarterdeck-rules.test.yaml")])
def test_promtool_accepts_the_rules_and_their_tests(arguments: tuple[str, Path]) -> None:
    kind, file = arguments
    said = subprocess.run(
        [str(require("promtool")), kind, "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_what_is_recorded_is_what_is_asked_for() -> None:
    told = {name: re.sub(r"\s", "", expression) for name, expression in shipped().items()}
    for name, expression in recorded.rules().items():
        assert told[name] == re.sub(r"\s", "", expression), name


def test_the_alert_fires_for_the_xids_that_fail_by_default() -> None:
    expected = "|".join(map(str, sorted(DEFAULT_FORBIDDEN_XIDS)))
    assert set(re.findall(r'=~"([^"]*)"', shipped()["QuarterdeckXidFails"])) == {expected}
    assert set(re.findall(r'!~"([^"]*)"', shipped()["QuarterdeckXid"])) == {f"0|{expected}"}


@pytest.fixture
def ruled(tmp_path: Path) -> Iterator[str]:
    """A real Prometheus that scrapes our pages and has the rules, evaluated each second."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES.read_text().replace("interval: 15s", "interval: 1s"))
    pages = Pages()
    try:
        quick = CONFIG.replace("{{scrape_interval: 1s", "{{evaluation_interval: 1s, scrape_interval: 1s")
        config = f"rule_files: [{rules}]\n" + quick.format(target=pages.target)
        with running(tmp_path, config) as url:
            yield url
    finally:
        pages.close()


async def using_rules(url: str) -> PrometheusSource:
    """A source that has come to believe the recorded series."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        source = PrometheusSource(PrometheusSettings(url), WallClock(), lambda: NODES)
        if whole(await source.by_node()) and source._uses_rules:
            return source
        await source.close()
        await asyncio.sleep(0.2)
    pytest.fail("the recorded series never agreed with the raw ones")


class RawSource(PrometheusSource):
    """A source that never looks for rules."""

    async def _judge_rules(self, shape: Shape, *, anew: bool) -> None:
        """Leave them be."""


async def test_answers_with_rules_are_those_without(ruled: str) -> None:
    recording = await using_rules(ruled)
    raw = RawSource(PrometheusSettings(ruled), WallClock(), lambda: NODES)
    try:
        without = (await read_until(raw, whole)).nodes
        told = (await read_until(recording, whole)).nodes
        assert recording._uses_rules
        assert not raw._uses_rules
        assert told.keys() == without.keys()
        for name in without:
            same(told[name], without[name])
    finally:
        await recording.close()
        await raw.close()


def same(told: NodeTelemetry, without: NodeTelemetry) -> None:
    assert abs(told.at - without.at) < timedelta(seconds=5)
    for field in fields(NodeTelemetry):
        if field.name != "at":
            found, expected = getattr(told, field.name), getattr(without, field.name)
            assert found == (pytest.approx(expected) if isinstance(expected, float) else expected), field.name


async def test_series_that_are_not_recorded_by_a_label_that_is_matched_on_are_asked_for_raw(
    ruled: str,
) -> None:
    await (await using_rules(ruled)).close()
    settings = PrometheusSettings(ruled, matchers={"job": "capital"})
    source = PrometheusSource(settings, WallClock(), lambda: NODES)
    try:
        read = await source.by_node()
        assert sorted(read.nodes) == ["gpu-1", "gpu-2.example.com"]
        assert not source._uses_rules
    finally:
        await source.close()


async def test_alerts_that_fire_are_at_their_node(ruled: str) -> None:
    source = PrometheusSource(PrometheusSettings(ruled), WallClock(), lambda: NODES)
    try:
        read = await read_until(source, lambda read: len(read.alerts.get("gpu-1", ())) == 2)
        warns, fails = read.alerts["gpu-1"]
        assert (warns.name, warns.severity) == ("QuarterdeckXid", "warning")
        assert (fails.name, fails.severity) == ("QuarterdeckXidFails", "critical")
        assert fails.since is not None
        assert abs(WallClock().now() - fails.since) < timedelta(seconds=PATIENCE)
        assert set(read.alerts) == {"gpu-1"}
        assert read.warnings == ()
    finally:
        await source.close()
