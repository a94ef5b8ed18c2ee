"""What a choice comes to before any adapter is made."""

from __future__ import annotations

from dataclasses import replace

from fleet.gate_checks import CHECKS
from fleet.gpu_checks import FROM_TELEMETRY
from tui.choice import Choice, DemoChoice
from tui.chosen import with_drills
from tui.settings import PrometheusSettings, Settings

SITE = replace(Settings(), prometheus=PrometheusSettings(url="http://127.0.0.1:9090"))


def enabled(choice: Choice) -> set[str]:
    checks = with_drills(SITE, choice).policy.categories["drill"].checks
    return {name for name in CHECKS if name not in checks or checks[name].enabled}


def test_nothing_measures_a_drills_node_on_a_cluster_though_the_site_has_prometheus() -> None:
    assert enabled(Choice(SITE)) == set(CHECKS) - set(FROM_TELEMETRY)


def test_a_drills_node_is_measured_on_a_simulated_fleet() -> None:
    assert enabled(Choice(SITE, DemoChoice())) == set(CHECKS)
