"""The feed over answers of ours: what it tells, when it asks again, and what it never takes for an empty fleet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest

from backends.slurm.features import NodeReading
from backends.slurm.feed import SlurmFeed
from backends.slurm.feed_state import StreamState
from backends.slurm.jobs import FIELD, RECORD
from backends.slurm.pace import FAST, LONGEST, SLOW, Pace
from fleet.errors import Denied, FleetError, Garbled, Unreachable
from fleet.feeds import FeedHealth
from fleet.node import NodeKey, Stage
from fleet.observation import FeedChanged, Listed, NodeSeen, Observation, WorkSeen
from fleet.store import FleetStore
from fleet.workload import NodeWork
from tests.clocks import ManualClock
from tests.unit.slurm.answers import CONFIG, Answers, Scripted
from tests.unit.slurm.lines import line

FLEET = "".join(f"{line(f'gpu{number}')}\n" for number in (1, 2, 3))
GONE = Unreachable("Unable to contact slurm controller (connect failure)", about="scontrol show nodes")


class Bench:
    """A feed, round by round, into a store."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.answers = Answers(self.clock, FLEET)
        self.store = FleetStore()
        self.told: list[Observation] = []
        self.feed = SlurmFeed(
            Scripted(self.answers),
            self.clock,
            Random(1),  # noqa: S311
            source="lab",
            reading=NodeReading(),
        )
        self.nodes = StreamState("lab", "nodes", self.clock, self.report)
        self.jobs = StreamState("lab", "jobs", self.clock, self.report)

    def report(self, observations: Sequence[Observation]) -> None:
        self.told += observations
        self.store.apply_all(observations)

    async def round(self) -> timedelta:
        """One round; what it told is in `told`."""
        self.told.clear()
        return await self.feed.one_round(self.report, self.nodes, self.jobs)

    def told_of(self, kind: type[Observation]) -> list[Observation]:
        return [seen for seen in self.told if isinstance(seen, kind)]

    def health(self, name: str = "nodes") -> FeedHealth:
        return next(state.health for state in self.store.feed_states() if state.name == name)

    def why(self, name: str = "nodes") -> str:
        return next(state.why for state in self.store.feed_states() if state.name == name)

    @property
    def names(self) -> list[str]:
        return sorted(row.key.name for row in self.store.rows())

    def stage(self, name: str) -> Stage:
        row = self.store.record(NodeKey("lab", name))
        assert row is not None, name
        return row.node.stage

    def work(self, name: str) -> NodeWork | None:
        row = self.store.record(NodeKey("lab", name))
        assert row is not None, name
        return row.work


def job(number: str, nodes: str, *, state: str = "RUNNING", gres: str = "gres:gpu:2") -> str:
    values = (
        number,
        number,
        "trainer",
        "1:00:00",
        state,
        nodes,
        "1",
        gres,
        "cpu=1",
        "1",
        "1",
        "Unknown",
        "train",
    )
    return "".join(f"{value}{FIELD}" for value in values[:-1]) + values[-1] + RECORD + "\n"


async def test_the_first_round_tells_everything_and_the_second_nothing() -> None:
    at = Bench()
    await at.round()
    assert at.names == ["gpu1", "gpu2", "gpu3"]
    assert at.told_of(Listed) == [Listed("lab", frozenset(at.names))]
    assert at.work("gpu1") == NodeWork()
    await at.round()
    assert at.told == []


async def test_only_a_node_that_changed_is_told_and_one_that_left_is_gone() -> None:
    at = Bench()
    await at.round()
    at.answers.nodes = (
        line("gpu1") + "\n" + line("gpu2", "IDLE+DRAIN", after="Reason=x [root@2026-03-01T02:30:00]")
    )
    await at.round()
    assert [seen.node.key.name for seen in at.told_of(NodeSeen) if isinstance(seen, NodeSeen)] == ["gpu2"]
    assert at.stage("gpu2") is Stage.DRAINED
    assert at.names == ["gpu1", "gpu2"]


async def test_loads_free_memory_and_a_boot_that_wavers_are_no_news() -> None:
    at = Bench()
    await at.round()
    at.answers.nodes = FLEET.replace("CPULoad=1.00", "CPULoad=7.31").replace("FreeMem=22731", "FreeMem=1")
    at.answers.nodes = at.answers.nodes.replace(
        "BootTime=2026-03-01T02:00:00", "BootTime=2026-03-01T02:00:01"
    )
    await at.round()
    assert at.told == []
    at.answers.nodes = FLEET.replace("BootTime=2026-03-01T02:00:00", "BootTime=2026-03-01T02:30:00")
    await at.round()
    assert len(at.told_of(NodeSeen)) == 3


@pytest.mark.parametrize(
    ("answer", "health"),
    [
        (GONE, FeedHealth.UNREACHABLE),
        (Denied("Access/permission denied", about="scontrol show nodes"), FeedHealth.DENIED),
        (Garbled("it printed more than 1 bytes", about="scontrol show nodes"), FeedHealth.GARBLED),
        ("", FeedHealth.GARBLED),
        ("\n\n", FeedHealth.GARBLED),
        ("slurm_load_node error: something new\n", FeedHealth.GARBLED),
    ],
)
async def test_no_answer_and_an_answer_without_a_node_are_never_an_empty_fleet(
    answer: str | FleetError, health: FeedHealth
) -> None:
    at = Bench()
    await at.round()
    at.answers.nodes = answer
    await at.round()
    assert at.health() is health
    assert at.health("jobs") is health
    assert at.why()
    assert at.names == ["gpu1", "gpu2", "gpu3"]
    assert at.told_of(Listed) == []
    at.answers.nodes = FLEET
    await at.round()
    assert at.health() is FeedHealth.LIVE


async def test_an_answer_that_broke_off_within_a_node_leaves_the_others_where_they_were() -> None:
    at = Bench()
    await at.round()
    at.answers.broken_off, at.answers.nodes = True, FLEET[: len(FLEET) // 2]
    await at.round()
    assert (at.health(), at.names) == (FeedHealth.GARBLED, ["gpu1", "gpu2", "gpu3"])
    assert "broke off" in at.why()


async def test_a_cluster_that_says_it_has_no_nodes_has_none_unless_it_hides_them() -> None:
    at = Bench()
    await at.round()
    at.answers.nodes = "No nodes in the system\n"
    at.answers.config = CONFIG.replace("PrivateData             = none", "PrivateData = jobs,nodes")
    await at.clock.advance(timedelta(minutes=6))
    await at.round()
    assert at.health() is FeedHealth.DENIED
    assert "PrivateData" in at.why()
    assert len(at.names) == 3
    at.answers.config = CONFIG
    await at.round()
    assert at.names == []


async def test_jobs_that_are_denied_leave_the_nodes_live_and_the_work_as_it_was() -> None:
    at = Bench()
    at.answers.jobs = Denied("Access/permission denied", about="squeue")
    await at.round()
    assert (at.health("nodes"), at.health("jobs")) == (FeedHealth.LIVE, FeedHealth.DENIED)
    assert at.work("gpu1") is None
    at.answers.jobs = ""
    await at.round()
    assert at.work("gpu1") == NodeWork()


async def test_work_is_the_controller_s_count_of_gpus_and_squeue_s_jobs() -> None:
    at = Bench()
    used = "Gres=gpu:h100:8 GresDrain=N/A GresUsed=gpu:h100:5(IDX:0-4)"
    at.answers.nodes = FLEET.replace("Gres=gpu:h100:8", used, 1)
    at.answers.jobs = job("71", "gpu[1-2]") + job("72_3", "gpu1")
    await at.round()
    work = at.work("gpu1")
    assert work is not None
    assert (work.gpus_used, work.pods) == (5, 2)
    assert [workload.name for workload in work.workloads] == ["71", "72_3"]
    at.answers.jobs = job("71", "gpu[1-2]")
    await at.round()
    assert [seen.key.name for seen in at.told_of(WorkSeen) if isinstance(seen, WorkSeen)] == ["gpu1"]


async def test_jobs_that_come_and_go_are_told_of_nodes_whose_line_is_as_it_was() -> None:
    at = Bench()
    await at.round()
    at.answers.jobs = job("7", "gpu1")
    await at.round()
    work = at.work("gpu1")
    assert work is not None
    assert (len(at.told), work.pods) == (1, 1)
    await at.round()
    assert at.told == []
    at.answers.jobs = ""
    await at.round()
    assert at.told_of(WorkSeen) == [WorkSeen(NodeKey("lab", "gpu1"), NodeWork())]


async def test_a_slurm_conf_that_is_not_the_controller_s_is_said() -> None:
    at = Bench()
    at.answers.config = CONFIG.replace("= Match", "= Different Ours=0x1 Slurmctld=0x2")
    await at.round()
    assert at.health() is FeedHealth.LIVE
    assert "Different" in at.why()


async def test_configuration_and_topology_are_asked_for_seldom_and_after_a_failure() -> None:
    at = Bench()
    await at.round()
    await at.round()
    assert at.answers.asked == ["config", "topology", "nodes", "jobs", "nodes", "jobs"]
    at.answers.nodes = GONE
    await at.round()
    at.answers.nodes = FLEET
    at.answers.asked.clear()
    await at.round()
    assert at.answers.asked[:2] == ["config", "topology"]


async def test_nodes_move_to_another_switch_when_the_topology_is_read_again() -> None:
    at = Bench()
    await at.round()
    at.answers.topology = "SwitchName=new Level=0 LinkSpeed=1 Nodes=gpu[1-3]\n"
    await at.clock.advance(timedelta(minutes=6))
    await at.round()
    row = at.store.record(NodeKey("lab", "gpu3"))
    assert row is not None
    assert row.node.topology.switch == "new"


async def test_a_quiet_cluster_is_asked_less_and_less_and_at_once_when_something_moves() -> None:
    at = Bench()
    pauses = [await at.round() for _ in range(12)]
    assert pauses[0] < FAST * 2
    assert pauses == sorted(pauses, key=lambda pause: pause >= SLOW * 0.9)
    assert pauses[-1] >= SLOW * 0.9
    at.answers.nodes = FLEET.replace("State=IDLE", "State=IDLE+DRAIN", 1)
    assert await at.round() <= FAST * 1.1
    await at.clock.advance(timedelta(minutes=2))
    at.answers.nodes = FLEET.replace("State=IDLE", "State=DOWN+DRAIN+REBOOT_ISSUED", 1)
    await at.round()
    await at.clock.advance(timedelta(minutes=2))
    assert await at.round() <= FAST * 1.1


def test_a_slow_controller_is_asked_no_more_than_a_tenth_of_the_time() -> None:
    pace = Pace(Random(1))  # noqa: S311
    assert pace.after(timedelta(seconds=1), moving=True) >= timedelta(seconds=9)
    assert pace.after(timedelta(seconds=30), moving=True) <= LONGEST * 1.1


def test_failures_are_asked_again_after_ever_longer_pauses() -> None:
    pace = Pace(Random(1))  # noqa: S311
    pauses = [pace.after_failure().total_seconds() for _ in range(8)]
    assert pauses[0] <= 1
    assert 15 <= pauses[-1] <= 30
    pace.after(timedelta(0), moving=False)
    assert pace.after_failure().total_seconds() <= 1


async def test_a_stream_tells_a_failure_once() -> None:
    at = Bench()
    at.answers.nodes = GONE
    await at.round()
    assert len(at.told_of(FeedChanged)) == 2
    await at.round()
    assert at.told == []


async def test_a_controller_that_says_another_name_than_it_was_opened_by_is_not_believed() -> None:
    bench = Bench()
    bench.feed = SlurmFeed(
        Scripted(bench.answers),
        bench.clock,
        Random(1),  # noqa: S311
        source="lab",
        reading=NodeReading(),
        cluster="another",
    )
    await bench.round()
    assert bench.health() is FeedHealth.GARBLED
    assert "is the cluster lab now, not another" in bench.why()
    assert bench.names == []
