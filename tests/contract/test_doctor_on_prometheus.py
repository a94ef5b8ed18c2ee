"""doctor over a real Prometheus with the simulated fleet behind it: joins, ages, what is not exported, labels and rules."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from backends.prometheus.client import PrometheusSettings, PrometheusSource
from backends.prometheus.examining import examine
from fleet.remark import Remark
from tests.contract.test_prometheus_at_scale import scraping, simulated
from tests.contract.test_real_prometheus import NODES, Pages, WallClock, healthy, read_until
from tests.contract.test_recorded_rules import RULES
from tests.journeys.served import quarterdeck

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("prometheus-scale")]

FLEET = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- {{job_name: dcgm, http_sd_configs: [{{url: "{targets}", refresh_interval: 5s}}],
   metric_relabel_configs: [{{source_labels: [__name__], regex: DCGM_FI_DEV_XID_ERRORS, action: drop}}]}}
- {{job_name: stranger, metrics_path: /stranger, static_configs: [{{targets: ["{target}"]}}]}}
- {{job_name: lower, metrics_path: /lower, static_configs: [{{targets: ["{target}"]}}]}}
"""
"""Every node's own exporter, of which nobody gets the XIDs; and two exporters of nodes that are no part of the fleet."""


async def test_doctor_tells_what_joins_how_old_it_is_and_which_checks_miss_what(tmp_path: Path) -> None:
    pages = Pages()
    pages.pages["/stranger"] = healthy('Hostname="gpu-77"', 0)
    async with simulated(12) as (simulation, keys):
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(simulation.api.kubeconfig())
        config = FLEET.format(targets=simulation.targets_url, target=pages.target)
        async with scraping(tmp_path, config) as url:
            source = PrometheusSource(PrometheusSettings(url), WallClock(), lambda: keys)
            await read_until(source, lambda read: "gpu-77" in read.nodes and len(read.nodes) > 8)
            await source.close()
            flags = ("--kubeconfig", str(kubeconfig), "--prometheus", url)
            said = await asyncio.to_thread(quarterdeck, "doctor", "--json", *flags)
            spoken = await asyncio.to_thread(quarterdeck, "doctor", *flags)
    pages.close()
    answers = {answer["about"]: answer for answer in said.json}
    assert said.code == 1, said.err
    joined = answers["metrics join"]
    assert joined["ok"] is False
    assert "gpu-77" in joined["facts"]["series_named"]
    assert joined["facts"]["nodes_with_series"] + joined["facts"]["nodes_without_series"] == len(keys)
    age = answers["metrics age"]["facts"]["seconds"]
    assert 0 <= age["min"] <= age["median"] <= age["max"] < 60
    missing = {each["column"] for each in answers["metrics exported"]["facts"]["not_exported"]}
    assert {"last XID", "SM active", "PCIe lanes"} <= missing
    assert not {"utilisation", "temperature", "rows remapped, correctable"} & missing
    checks = answers["metrics checks"]
    assert (checks["ok"], list(checks["facts"]["unknown"])) == (False, ["xid"])
    assert "ecc-dbe" in checks["facts"]["say_nothing"]
    assert answers["prometheus rules"]["says"] == "none recorded; sums are asked of the raw series"
    labels = answers["prometheus labels"]["says"]
    assert "named by Hostname (" in labels
    assert "2 exporters name no node (Hostname=gpu-77, hostname=gpu-3)" in labels
    assert "needed, and UNKNOWN: xid of " in spoken.out
    assert "last XID (DCGM_FI_DEV_XID_ERRORS)" in spoken.out
    assert json.dumps(answers)


async def test_rules_that_agree_are_used_and_others_are_named(tmp_path: Path) -> None:
    rules, pages = tmp_path / "rules.yaml", Pages()
    rules.write_text(RULES.read_text().replace("interval: 15s", "interval: 1s"))
    config = (
        f"rule_files: [{rules}]\nglobal: {{evaluation_interval: 1s, scrape_interval: 1s, scrape_timeout: 1s}}\n"
        f'scrape_configs: [{{job_name: capital, metrics_path: /capital, static_configs: [{{targets: ["{pages.target}"]}}]}}]\n'
    )
    async with scraping(tmp_path, config) as url:
        assert (await rules_said(url)).ok is True
        differing = (
            RULES.read_text().replace("interval: 15s", "interval: 1s").replace("count by (", "2 * count by (")
        )
        rules.write_text(differing)
        elsewhere = tmp_path / "other"
        elsewhere.mkdir()
        async with scraping(elsewhere, config) as other:
            said = await rules_said(other)
    pages.close()
    assert (said.ok, "not used" in said.says) == (None, True)


async def rules_said(url: str) -> Remark:
    """What is said of rules once any are recorded."""
    source = PrometheusSource(PrometheusSettings(url), WallClock(), lambda: NODES)
    try:
        while True:
            await source.by_node()
            for remark in await examine(source, NODES):
                if remark.about == "prometheus rules" and "none recorded" not in remark.says:
                    return remark
            await asyncio.sleep(0.3)
    finally:
        await source.close()
