"""What a choice comes to before any adapter is made."""

from __future__ import annotations

from dataclasses import replace

from fleet.active_checks import asked
from fleet.category import Category, CheckPolicy, OnNode
from fleet.diagnosis import DCGM_DIAG
from fleet.gate_checks import CHECKS
from fleet.gpu_checks import FROM_TELEMETRY
from fleet.policy import Policy
from tui.choice import Choice, DemoChoice
from tui.chosen import CHECKED, with_a_check, with_drills
from tui.settings import PrometheusSettings, Settings

SITE = replace(Settings(), prometheus=PrometheusSettings(url="http://127.0.0.1:9090"))


def enabled(choice: Choice) -> set[str]:
    checks = with_drills(SITE, choice).policy.categories["drill"].checks
    return {name for name in CHECKS if name not in checks or checks[name].enabled}


def test_nothing_measures_a_drills_node_on_a_cluster_though_the_site_has_prometheus() -> None:
    assert enabled(Choice(SITE)) == set(CHECKS) - set(FROM_TELEMETRY)


def test_a_drills_node_is_measured_on_a_simulated_fleet() -> None:
    assert enabled(Choice(SITE, DemoChoice())) == set(CHECKS)


def test_the_embedded_fleet_shows_an_active_check_in_one_category() -> None:
    policy = with_a_check(Policy())
    assert list(asked(policy.category(CHECKED))) == [DCGM_DIAG]
    assert asked(policy.category("h100")) == asked(policy.any_other) == {}


def test_who_says_anything_of_checks_or_of_that_category_has_what_he_says() -> None:
    own = CheckPolicy(on_node=OnNode(level=3))
    for policy in (
        Policy(categories={CHECKED: Category(CHECKED, expected_gpus=4)}),
        Policy(categories={"h100": Category("h100", checks={DCGM_DIAG: own})}),
        Policy(any_other=Category("", checks={DCGM_DIAG: own})),
    ):
        assert with_a_check(policy) is policy
