"""How long a Job may run and is kept: what ends it, and what takes it away, as a real API server's controllers do it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from backends.simulated.objects import EVENTS, JOBS, NAMESPACES, Json
from tests.unit.simulated.worlds import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def start(bench: Bench, *, runs_for: int | None = None, **spec: Any) -> None:
    """A Job of one pod that is not made again."""
    notes = {} if runs_for is None else {"sim.node.lab/runs-for": str(runs_for)}
    pod = {
        "containers": [{"name": "main", "image": "x"}],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 10,
    }
    template = {"metadata": {"labels": {"app": "probe"}, "annotations": notes}, "spec": pod}
    body = {"backoffLimit": 0, "template": template, **spec}
    bench.store.create(JOBS, {"metadata": {"name": "probe", "namespace": "default"}, "spec": body})


def conditions(bench: Bench) -> dict[str, str]:
    """The conditions of the Job that hold, with their reasons; none where the Job is gone."""
    job: Json = bench.store.get(JOBS, "probe", "default") or {}
    found = (job.get("status") or {}).get("conditions") or ()
    return {each["type"]: each["reason"] for each in found if each["status"] == "True"}


def phases(bench: Bench) -> list[str]:
    return [pod["status"]["phase"] for pod in bench.pods_of("probe")]


def test_a_job_that_runs_for_longer_than_it_may_fails_with_its_pods_taken_away(bench: Bench) -> None:
    start(bench, activeDeadlineSeconds=60)
    bench.after(55)
    assert (phases(bench), conditions(bench)) == (["Running"], {})
    bench.after(30)
    deadline = "DeadlineExceeded"
    assert conditions(bench) == {"FailureTarget": deadline, "Failed": deadline}
    assert phases(bench) == []
    told = [event for event in bench.store.list(EVENTS) if event["reason"] == deadline]
    assert [(event["type"], event["involvedObject"]["name"]) for event in told] == [("Warning", "probe")]


def test_it_has_not_failed_before_its_pods_are_gone(bench: Bench) -> None:
    start(bench, activeDeadlineSeconds=60)
    bench.after(61)
    assert list(conditions(bench)) == ["FailureTarget"]
    assert len(bench.pods_of("probe")) == 1


def test_a_job_whose_pod_is_never_placed_is_out_of_time_too(bench: Bench) -> None:
    start(bench, activeDeadlineSeconds=20)
    bench.store.update(JOBS, "probe", lambda job: _only_on(job, "nowhere"), "default")
    bench.after(40)
    assert conditions(bench)["Failed"] == "DeadlineExceeded"


def test_one_that_ends_in_time_is_complete_and_stays_where_nothing_says_how_long(bench: Bench) -> None:
    start(bench, runs_for=20, activeDeadlineSeconds=60)
    bench.after(3600)
    assert conditions(bench) == {"Complete": "CompletionsReached"}
    assert phases(bench) == ["Succeeded"]


@pytest.mark.parametrize("spec", [{"runs_for": 20}, {"activeDeadlineSeconds": 20}])
def test_one_that_ended_is_taken_away_with_its_pod_when_its_time_is_over(
    bench: Bench, spec: dict[str, Any]
) -> None:
    start(bench, ttlSecondsAfterFinished=300, **spec)
    bench.after(290)
    assert conditions(bench)
    bench.after(60)
    assert bench.store.get(JOBS, "probe", "default") is None
    assert phases(bench) == []


def test_one_that_is_to_be_kept_for_no_time_goes_at_once(bench: Bench) -> None:
    start(bench, runs_for=20, ttlSecondsAfterFinished=0)
    bench.after(30)
    assert bench.store.get(JOBS, "probe", "default") is None


def test_another_of_its_name_has_its_own_time(bench: Bench) -> None:
    start(bench, activeDeadlineSeconds=100)
    bench.after(80)
    bench.store.delete(JOBS, "probe", "default")
    bench.after(15)
    start(bench, activeDeadlineSeconds=100)
    bench.after(60)
    assert (phases(bench), conditions(bench)) == (["Running"], {})


def test_suspending_it_starts_its_time_anew(bench: Bench) -> None:
    start(bench, activeDeadlineSeconds=100)
    for suspended in (True, False):
        bench.after(80)
        bench.store.update(JOBS, "probe", partial(_suspend, suspended), "default")
    bench.after(60)
    assert conditions(bench) == {}


def test_the_fleet_has_the_namespace_that_checks_are_run_in(bench: Bench) -> None:
    assert bench.store.get(NAMESPACES, "quarterdeck-checks") is not None


def _only_on(job: Json, node: str) -> None:
    job["spec"]["template"]["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}


def _suspend(suspended: bool, job: Json) -> None:
    job["spec"]["suspend"] = suspended
