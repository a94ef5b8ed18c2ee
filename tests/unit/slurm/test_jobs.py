"""Jobs as squeue prints them, the controller's configuration, and topologies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from backends.slurm.controller import read_config
from backends.slurm.jobs import FIELD, RECORD, placements_of, read_jobs, read_left
from backends.slurm.topology import read_topology
from fleet.errors import Garbled
from fleet.workload import Keeper, WorkloadId
from tests.unit.slurm.answers import CONFIG, TOPOLOGY

VALUES = {
    "id": "71",
    "raw": "71",
    "user": "trainer",
    "left": "1-02:03:04",
    "state": "RUNNING",
    "nodes": "gpu1",
    "count": "1",
    "per_node": "gres:gpu:h100:2",
    "alloc": "cpu=2,mem=1G,node=1,billing=2",
    "requeue": "1",
    "batch": "1",
    "ends": "2026-03-01T04:00:00",
    "name": "train",
}


def row(**changed: str) -> str:
    return FIELD.join((VALUES | changed).values()) + RECORD + "\n"


def test_a_job_is_read_with_its_user_time_left_and_gpus() -> None:
    (job,) = read_jobs(row())
    assert (job.id, job.user, job.nodes, job.gpus) == ("71", "trainer", ("gpu1",), 2)
    assert job.time_left == timedelta(days=1, hours=2, minutes=3, seconds=4)
    assert job.keeper is Keeper.CONTROLLER


@pytest.mark.parametrize(("requeue", "batch"), [("0", "1"), ("1", "0"), ("0", "0")])
def test_a_job_that_would_not_come_back_is_lost(requeue: str, batch: str) -> None:
    (job,) = read_jobs(row(requeue=requeue, batch=batch))
    assert job.keeper is Keeper.NOBODY


def test_a_name_may_hold_separators_and_newlines() -> None:
    jobs = read_jobs(row(name=f"a{FIELD}b\nc|") + row(id="72"))
    assert [job.id for job in jobs] == ["71", "72"]


def test_the_parts_of_a_heterogeneous_job_are_one_workload() -> None:
    first, second = read_jobs(row(id="7+0", raw="7") + row(id="7+1", raw="8"))
    assert first.workload == second.workload == WorkloadId("trainer", "job", "7")


def test_gpus_asked_for_in_all_are_shared_out_where_nothing_better_is_known() -> None:
    (job,) = read_jobs(row(per_node="N/A", alloc="cpu=2,gres/gpu=5", nodes="gpu[1-2]"))
    assert job.gpus is None
    assert [item.gpus for item in placements_of("gpu1", [job], {})] == [3]
    assert [item.gpus for item in placements_of("gpu1", [job], {("71", "gpu1"): 4})] == [4]
    assert placements_of("gpu9", [job], {}) == ()


def test_a_job_on_one_node_has_all_its_gpus_there() -> None:
    (job,) = read_jobs(row(per_node="N/A", alloc="cpu=2,gres/gpu=5"))
    assert job.gpus == 5


def test_a_completing_job_is_leaving_since_it_ended() -> None:
    (placement,) = placements_of("gpu1", read_jobs(row(state="COMPLETING")), {})
    assert placement.terminating_since == datetime(2026, 3, 1, 4, tzinfo=UTC)
    assert placement.waits


def test_an_answer_that_is_no_list_of_jobs_is_garbled_and_none_is_none() -> None:
    assert read_jobs("") == []
    for text in ("squeue: unrecognized option\n", f"1{FIELD}2{RECORD}\n"):
        with pytest.raises(Garbled):
            read_jobs(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("9:59", timedelta(minutes=9, seconds=59)),
        ("23:59:59", timedelta(hours=23, minutes=59, seconds=59)),
        ("UNLIMITED", None),
        ("NOT_SET", None),
        ("INVALID", timedelta(0)),
        ("", None),
        ("9" * 50, None),
    ],
)
def test_time_left_is_read_in_every_form(text: str, left: timedelta | None) -> None:
    assert read_left(text) == left


def test_the_configuration_is_read() -> None:
    config = read_config(CONFIG)
    assert (config.identity, config.version) == ("lab@head", "22.05.8")
    assert (config.slurm_user, config.slurm_uid) == ("slurm", 64030)
    assert (config.reboot_program, config.health_check, config.hash_differs) == ("/sbin/reboot", "", "")
    assert config.has_topology
    assert not config.has_accounting
    assert config.private == frozenset()


def test_a_configuration_of_nothing_is_empty() -> None:
    config = read_config("")
    assert (config.cluster, config.slurm_uid, config.has_topology) == ("", None, False)


def test_a_node_hangs_off_its_leaf_and_not_its_spine() -> None:
    places = read_topology(TOPOLOGY)
    assert {name: place.switch for name, place in places.items()} == {
        "gpu1": "leaf1",
        "gpu2": "leaf1",
        "gpu3": "leaf2",
    }


def test_a_block_is_a_clique() -> None:
    places = read_topology("BlockName=b1 BlockIndex=0 Nodes=gb[001-002] BlockSize=2\n")
    assert places["gb002"].clique == "b1"


def test_no_topology_places_nobody() -> None:
    assert read_topology("No topology information available\n") == {}
