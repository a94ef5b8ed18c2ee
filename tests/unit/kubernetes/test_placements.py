"""Pods bound to a node, as a plan sees them, and the budgets over them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backends.kubernetes.budgets import BUDGETS, BudgetShape, by_namespace
from backends.kubernetes.our_keys import OurKeys
from backends.kubernetes.placements import kept_out, placement_of
from backends.kubernetes.pods import PodShape
from backends.kubernetes.shapes import Reading
from fleet.workload import Budget, Keeper
from tests.unit.kubernetes.objects import pod_json

PODS = Reading(PodShape)
KEYS = OurKeys()


def pod(name: str = "train-0", **what: Any) -> PodShape:
    return PODS.one(json.dumps(pod_json(name, **what)).encode())


def budget(selector: dict[str, Any] | None, *, namespace: str = "research", **meta: Any) -> BudgetShape:
    raw = {
        "metadata": {"name": "web-pdb", "namespace": namespace, **meta},
        "spec": {"selector": selector},
        "status": {"disruptionsAllowed": 1, "currentHealthy": 4, "desiredHealthy": 3},
    }
    return BUDGETS.one(json.dumps(raw).encode())


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values) or None}]}


@pytest.mark.parametrize(
    ("selector", "covered"),
    [
        ({}, True),
        (None, False),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchLabels": {"app": "web", "tier": "front"}}, False),
        (expression("app", "In", "web", "db"), True),
        (expression("app", "In"), False),
        (expression("app", "NotIn", "web"), False),
        (expression("tier", "NotIn", "front"), True),
        (expression("app", "Exists"), True),
        (expression("app", "DoesNotExist"), False),
        (expression("tier", "DoesNotExist"), True),
        (expression("app", "SomethingNew"), True),
    ],
)
def test_a_budget_covers_what_its_selector_admits(selector: dict[str, Any] | None, covered: bool) -> None:
    assert budget(selector).covers("research", {"app": "web"}) is covered
    assert budget(selector).covers("elsewhere", {"app": "web"}) is False


@pytest.mark.parametrize(
    ("meta", "owner"),
    [
        ({}, ""),
        ({"labels": {"app.kubernetes.io/name": "web"}}, "web"),
        ({"labels": {"team": "inference"}, "annotations": {"owner": "oncall-web"}}, "oncall-web"),
        ({"labels": {"team": "\x1b[31minference"}}, "inference"),
    ],
)
def test_a_budget_says_whose_it_is(meta: dict[str, Any], owner: str) -> None:
    assert budget({}, **meta).budget() == Budget("research", "web-pdb", 1, 4, 3, owner)


def test_budgets_are_named_where_an_eviction_would_ask_them() -> None:
    over = by_namespace([budget({}), budget({}, namespace="elsewhere")])
    assert len(placement_of(pod(), over).budgets) == 1
    for spared in (
        pod(phase="Pending"),
        pod(phase="Succeeded"),
        pod(deletionTimestamp="2026-03-01T00:00:00Z"),
        pod(owner=("DaemonSet", "agent")),
    ):
        assert placement_of(spared, over).budgets == ()


def test_a_placement_says_what_a_drain_must_know() -> None:
    placed = placement_of(
        pod(
            spec={"volumes": [{"name": "a", "emptyDir": {}}], "terminationGracePeriodSeconds": 90},
            deletionTimestamp="2026-03-01T00:01:30Z",
            deletionGracePeriodSeconds=90,
        ),
        {},
    )
    assert placed.label == "research/train-0"
    assert placed.grace == timedelta(seconds=90)
    assert placed.loses_scratch
    assert placed.terminating_since == datetime(2026, 3, 1, tzinfo=UTC)
    assert placed.keeper is Keeper.CONTROLLER
    plain = placement_of(pod(spec={"volumes": [{"name": "c", "configMap": {}}]}), {})
    assert (plain.loses_scratch, plain.grace, plain.terminating_since) == (False, timedelta(seconds=30), None)


@pytest.mark.parametrize("odd", [-5, 10**15])
def test_a_grace_out_of_range_is_brought_into_it(odd: int) -> None:
    placed = placement_of(pod(spec={"terminationGracePeriodSeconds": odd}), {})
    assert timedelta(0) <= placed.grace <= timedelta(days=30)


@pytest.mark.parametrize(
    ("toleration", "kept"),
    [
        ({"operator": "Exists"}, False),
        ({"key": "node.lab/health-gate", "operator": "Exists"}, False),
        ({"key": "node.lab/health-gate", "value": "pending"}, False),
        ({"key": "node.lab/health-gate", "value": "other"}, True),
        ({"key": "node.lab/health-gate", "operator": "Exists", "effect": "NoExecute"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, True),
    ],
)
def test_agents_that_do_not_tolerate_the_gate_are_named(toleration: dict[str, str], kept: bool) -> None:
    agent = pod(
        "nvidia-device-plugin-x",
        owner=("DaemonSet", "nvidia-device-plugin"),
        spec={"tolerations": [toleration]},
    )
    assert kept_out([agent], KEYS) == (("research/nvidia-device-plugin",) if kept else ())


def test_agents_are_known_by_their_image_and_other_daemons_are_left_alone() -> None:
    image = {"containers": [{"image": "nvcr.io/nvidia/k8s/dcgm-exporter:4.2"}]}
    exporter = pod("metrics-x", owner=("DaemonSet", "metrics"), spec=image)
    assert kept_out([exporter, pod("kube-proxy-y", owner=("DaemonSet", "kube-proxy")), pod()], KEYS) == (
        "research/metrics",
    )


def test_a_budget_whose_owner_nobody_noted_names_its_namespace_as_such() -> None:
    assert budget({}).budget().label == "research/web-pdb (namespace research)"
