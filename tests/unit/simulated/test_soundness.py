"""Objects whose types the controllers could not read are refused before they are stored, naming the field."""

from __future__ import annotations

from typing import Any

import pytest

from backends.simulated.objects import (
    DAEMONSETS,
    DEPLOYMENTS,
    JOBS,
    NODES,
    PDBS,
    PODS,
    REPLICASETS,
    STATEFULSETS,
    Resource,
)
from backends.simulated.soundness import unsound
from tests.unit.simulated.worlds import Bench

POD: dict[str, Any] = {"containers": [{"name": "main"}]}


@pytest.mark.parametrize(
    ("resource", "obj", "field"),
    [
        (PODS, {"spec": {}}, "containers"),
        (PODS, {"spec": {"containers": "main"}}, "containers"),
        (PODS, {"spec": {**POD, "tolerations": [3]}}, "tolerations"),
        (PODS, {"spec": {**POD, "terminationGracePeriodSeconds": -1}}, "terminationGracePeriodSeconds"),
        (PODS, {"spec": POD, "status": {"conditions": {}}}, "conditions"),
        (PODS, {"spec": POD, "metadata": {"ownerReferences": [{}]}}, "ownerReferences"),
        (NODES, {"spec": {"taints": [{"key": 1}]}}, "taints"),
        (NODES, {"status": {"allocatable": []}}, "status"),
        (DEPLOYMENTS, {"spec": {"replicas": 1}}, "template"),
        (DEPLOYMENTS, {"spec": {"replicas": "1", "template": {"spec": POD}, "selector": {}}}, "replicas"),
        (JOBS, {"spec": {"template": {"spec": POD}, "parallelism": 10**9}}, "parallelism"),
        (PDBS, {"spec": {"selector": {"matchLabels": {"app": 3}}}}, "matchLabels"),
    ],
)
def test_a_wrong_type_is_named(resource: Resource, obj: dict[str, Any], field: str) -> None:
    problem = unsound(resource, obj)
    assert problem is not None
    assert field in f"{problem.field} {problem.says}"


def test_everything_the_simulation_itself_writes_is_sound() -> None:
    bench = Bench()
    bench.deploy("web", 2)
    bench.start_job("burn-in", 2, seconds=5)
    bench.after(60)
    for resource in (PODS, NODES, DEPLOYMENTS, REPLICASETS, STATEFULSETS, DAEMONSETS, JOBS, PDBS):
        assert [unsound(resource, obj) for obj in bench.store.list(resource) if unsound(resource, obj)] == []


def test_null_stands_for_the_default() -> None:
    bench = Bench()
    bench.deploy("web", 1)
    bench.store.update(DEPLOYMENTS, "web", lambda each: each["spec"].update(replicas=None), "default")
    bench.after(10)
    assert len(bench.pods_of("web")) == 1
