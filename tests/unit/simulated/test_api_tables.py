"""Rows of Tables: what `kubectl get` prints."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backends.simulated.objects import NODES, PODS, RESOURCES, Json, timestamp
from backends.simulated.spans import age, span
from backends.simulated.tables import columns_of
from tests.clocks import START


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (190, "3m10s"),
        (3600, "60m"),
        (3 * 3600 + 60, "3h1m"),
        (9 * 3600 + 60, "9h"),
        (50 * 3600, "2d2h"),
        (10 * 86400, "10d"),
        (730 * 86400 + 40 * 86400, "2y40d"),
        (9 * 365 * 86400 + 86400, "9y"),
    ],
)
def test_a_span_in_few_letters(seconds: int, text: str) -> None:
    assert span(seconds) == text


def test_an_unknown_age_says_so() -> None:
    assert age(None, START) == "<unknown>"


def cells(resource: Any, obj: Json) -> dict[str, object]:
    columns = columns_of(resource)
    return dict(zip((*columns.names, *columns.wide), columns.cells(obj, START), strict=True))


def test_a_node_shows_readiness_cordon_roles_and_age() -> None:
    row = cells(
        NODES,
        {
            "metadata": {
                "name": "n",
                "labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/gpu": ""},
                "creationTimestamp": timestamp(START - timedelta(hours=5)),
            },
            "spec": {"unschedulable": True},
            "status": {
                "conditions": [{"type": "Ready", "status": "Unknown"}],
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                "nodeInfo": {"kubeletVersion": "v1.34.0"},
            },
        },
    )
    assert (row["Status"], row["Roles"], row["Age"]) == ("NotReady,SchedulingDisabled", "gpu,worker", "5h")
    assert (row["Version"], row["Internal-IP"], row["OS-Image"]) == ("v1.34.0", "10.0.0.1", "<unknown>")


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda each: each.qualified)
def test_an_object_with_next_to_nothing_has_a_row(resource: Any) -> None:
    assert cells(resource, {"metadata": {"name": "x"}, "spec": {}})


def container(**state: object) -> Json:
    return {"name": "c", "ready": "running" in state, "restartCount": 0, "state": state}


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ({"phase": "Pending"}, "Pending"),
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
        ({"phase": "Running", "containerStatuses": [container(running={})]}, "Running"),
        (
            {"phase": "Running", "containerStatuses": [container(waiting={"reason": "CrashLoopBackOff"})]},
            "CrashLoopBackOff",
        ),
        (
            {
                "phase": "Succeeded",
                "containerStatuses": [container(terminated={"exitCode": 0, "reason": "Completed"})],
            },
            "Completed",
        ),
        ({"phase": "Failed", "containerStatuses": [container(terminated={"exitCode": 3})]}, "ExitCode:3"),
        ({"phase": "Failed", "containerStatuses": [container(terminated={"signal": 9})]}, "Signal:9"),
        ({"phase": "Pending", "initContainerStatuses": [container(running={})]}, "Init:0/1"),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [container(terminated={"exitCode": 1, "reason": "Error"})],
            },
            "Init:Error",
        ),
    ],
)
def test_the_status_of_a_pod(status: Json, word: str) -> None:
    spec = {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}
    pod: Json = {"metadata": {"name": "p"}, "spec": spec, "status": status}
    assert cells(PODS, pod)["Status"] == word
    pod["metadata"]["deletionTimestamp"] = timestamp(START)
    assert cells(PODS, pod)["Status"] == "Terminating"


def test_restarts_say_when_the_last_one_was() -> None:
    last = {"terminated": {"finishedAt": timestamp(START - timedelta(minutes=5))}}
    status = {
        "phase": "Running",
        "containerStatuses": [{**container(running={}), "restartCount": 2, "lastState": last}],
    }
    row = cells(PODS, {"metadata": {"name": "p"}, "spec": {"containers": [{}]}, "status": status})
    assert (row["Ready"], row["Restarts"]) == ("1/1", "2 (5m ago)")
