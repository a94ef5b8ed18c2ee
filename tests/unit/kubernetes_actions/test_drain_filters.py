"""What a drain moves, leaves alone and stops at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fleet.plan import DrainOptions
from fleet.verbs.drain_filters import DELETE_EMPTYDIR, FORCE, IGNORE_DAEMONSETS, sort_placements
from fleet.workload import Keeper, Placement, WorkloadId

WORK = Placement(
    "team", "web-1", "u1", WorkloadId("team", "Deployment", "web"), Keeper.CONTROLLER, phase="Running"
)
DAEMON = replace(WORK, name="exporter-1", uid="u2", keeper=Keeper.DAEMON)
MIRROR = replace(WORK, name="kube-proxy", uid="u3", keeper=Keeper.MIRROR)
BARE = replace(WORK, name="alone", uid="u4", keeper=Keeper.NOBODY)
SCRATCH = replace(WORK, name="scratch", uid="u5", loses_scratch=True)


def test_work_of_a_controller_is_evicted() -> None:
    assert sort_placements([WORK], DrainOptions()).evict == (WORK,)


def test_what_belongs_to_the_node_is_left_alone() -> None:
    found = sort_placements([DAEMON, MIRROR], DrainOptions())
    assert found.leave == (DAEMON, MIRROR)
    assert not found.must_go
    assert not found.blocked


def test_a_daemonset_stops_the_drain_unless_ignored() -> None:
    found = sort_placements([DAEMON], DrainOptions(ignore_daemonsets=False))
    assert [(stop.placement, stop.option) for stop in found.blocked] == [(DAEMON, IGNORE_DAEMONSETS)]


def test_a_mirror_pod_is_skipped_silently_whatever_the_options() -> None:
    found = sort_placements([MIRROR], DrainOptions(ignore_daemonsets=False, force=True, delete_emptydir=True))
    assert found.leave == (MIRROR,)
    assert not found.blocked


@pytest.mark.parametrize(
    ("placement", "option", "allowed"),
    [
        (BARE, FORCE, DrainOptions(force=True)),
        (SCRATCH, DELETE_EMPTYDIR, DrainOptions(delete_emptydir=True)),
    ],
)
def test_what_would_be_lost_needs_its_option(
    placement: Placement, option: str, allowed: DrainOptions
) -> None:
    assert [stop.option for stop in sort_placements([placement], DrainOptions()).blocked] == [option]
    assert sort_placements([placement], allowed).evict == (placement,)


def test_every_option_that_is_missing_is_named_at_once() -> None:
    both = replace(BARE, loses_scratch=True)
    found = sort_placements([both], DrainOptions())
    assert [stop.option for stop in found.blocked] == [DELETE_EMPTYDIR, FORCE]
    assert not found.evict


def test_finished_work_needs_no_option() -> None:
    finished = replace(BARE, loses_scratch=True, finished=True, phase="Succeeded")
    assert sort_placements([finished], DrainOptions()).evict == (finished,)


def test_work_that_is_stopping_already_is_waited_for_and_stops_nothing() -> None:
    stopping = replace(BARE, loses_scratch=True, terminating_since=datetime(2026, 3, 1, tzinfo=UTC))
    found = sort_placements([stopping, WORK], DrainOptions())
    assert found.leaving == (stopping,)
    assert found.evict == (WORK,)
    assert found.must_go == (WORK, stopping)
