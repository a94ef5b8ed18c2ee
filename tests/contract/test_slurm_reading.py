"""Reading a real Slurm: nodes, jobs, holders, boots, and every way in which the controller does not answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import pytest

from backends.slurm.commands import SlurmCommands
from backends.slurm.controller import ask_config
from backends.slurm.features import NodeReading
from backends.slurm.feed import SlurmFeed
from backends.slurm.reader import SlurmReader
from fleet.errors import Denied, Missing, OutcomeUnknown, Unreachable
from fleet.feeds import FeedHealth, FeedState
from fleet.node import Admission, Node, NodeKey, Readiness, Stage
from fleet.observation import FeedChanged, Observation
from fleet.plan import NodeFacts, Permission, Verb
from fleet.store import FleetStore
from fleet.workload import Keeper, WorkloadId
from tests.contract.real_clock import RealClock
from tests.slurm_lab import SlurmLab, slurm_lab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm")]

SOURCE = "lab"
DEADLINE = timedelta(seconds=15)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmLab]:
    with slurm_lab(tmp_path_factory.mktemp("slurm"), slurmd_timeout=6) as lab:
        yield lab


@pytest.fixture
def lab(shared: SlurmLab) -> Iterator[SlurmLab]:
    """The shared cluster, put back to idle nodes with nothing written on them."""
    yield shared
    for job in shared.command("squeue", "-h", "-o", "%A").split():
        shared.command("scancel", job, check=False)
    for node in shared.nodes:
        shared.make_well(node)
        shared.scontrol("update", f"NodeName={node}", "State=RESUME", check=False)
        shared.update(node, "Extra=", "Comment=")
        shared.node_is(node, "IDLE", without=("DRAIN", "NOT_RESPONDING", "COMPLETING"))


def commands_of(lab: SlurmLab, deadline: timedelta = DEADLINE) -> SlurmCommands:
    return SlurmCommands(RealClock(), lab.environ, deadline=deadline)


def reader_of(lab: SlurmLab, deadline: timedelta = DEADLINE) -> SlurmReader:
    return SlurmReader(commands_of(lab, deadline), RealClock(), source=SOURCE)


async def facts_of(lab: SlurmLab, name: str) -> NodeFacts:
    key = NodeKey(SOURCE, name)
    return (await reader_of(lab).read([key]))[key]


async def node_of(lab: SlurmLab, name: str) -> Node:
    return (await facts_of(lab, name)).node


# Nodes.


async def test_an_idle_node_is_in_service_with_everything_that_slurm_knows_of_it(lab: SlurmLab) -> None:
    node = await node_of(lab, "gpu1")
    assert (node.stage, node.admission, node.readiness) == (Stage.IN_SERVICE, Admission.OPEN, Readiness.READY)
    assert (node.gpus_capacity, node.gpus_allocatable) == (8, 8)
    assert (node.category, node.category_from) == ("train", "partition")
    assert (node.image.running, node.image.running_from) == ("v1", "feature")
    assert node.topology.switch == "leaf1"
    assert node.software.gpu_product == "h100"
    assert node.software.agent
    assert node.boot_id
    assert node.reboots
    assert node.holds == ()


async def test_a_node_in_the_other_half_hangs_off_the_other_switch(lab: SlurmLab) -> None:
    assert (await node_of(lab, lab.nodes[-1])).topology.switch == "leaf2"


async def test_a_site_s_own_patterns_name_category_and_image(lab: SlurmLab) -> None:
    reading = NodeReading(category_patterns=("^(rack.)$",), image_patterns=("^(h100)$",))
    reader = SlurmReader(commands_of(lab), RealClock(), source=SOURCE, reading=reading)
    key = NodeKey(SOURCE, "gpu1")
    node = (await reader.read([key]))[key].node
    assert (node.category, node.image.running) == ("rack1", "h100")


async def test_nodes_that_are_not_there_are_left_out(lab: SlurmLab) -> None:
    keys = [NodeKey(SOURCE, name) for name in ("nope", "gpu1", "--help", "ALL", "gpu[1-2]", "", "gpu1,gpu2")]
    assert [key.name for key in await reader_of(lab).read(keys)] == ["gpu1"]


async def test_many_nodes_read_as_each_alone(lab: SlurmLab) -> None:
    keys = [NodeKey(SOURCE, name) for name in lab.nodes]
    together = await reader_of(lab).read(keys)
    assert [together[key].node.key for key in keys] == keys
    assert together[keys[2]].node == (await facts_of(lab, "gpu3")).node


async def test_a_drain_by_a_colleague_is_a_hold_with_its_name_reason_and_time(lab: SlurmLab) -> None:
    lab.update("gpu2", "State=DRAIN", "Reason=fan loud")
    facts = await facts_of(lab, "gpu2")
    (hold,) = facts.node.holds
    assert hold.reason == "fan loud"
    assert hold.by
    assert hold.since is not None
    assert abs(hold.since - RealClock().now()) < timedelta(minutes=1)
    assert (facts.node.stage, facts.node.admission) == (Stage.DRAINED, Admission.CORDONED)
    assert facts.unschedulable


@pytest.mark.parametrize(
    "reason",
    [
        "odd State=IDLE Comment=x Extra={} [root@2020-01-01T00:00:00]",
        "[user_problem] it is (0 < 1) NextState=DOWN",
        "two\nlines [root@2020-01-01T00:00:00] here",
        "维护中 \N{BROKEN HEART}",
        "x" * 2000,
    ],
)
async def test_whatever_a_reason_says_the_node_reads_as_it_is(lab: SlurmLab, reason: str) -> None:
    lab.update("gpu2", "State=DRAIN", f"Reason={reason}", "Comment=a\nb", 'Extra={"load": 0.99}')
    node = await node_of(lab, "gpu2")
    assert (node.stage, node.admission) == (Stage.DRAINED, Admission.CORDONED)
    (seen,) = (await reader_of(lab).seen(["gpu2"])).values()
    assert seen.reason.split() == reason.split()
    assert (seen.comment, seen.extra) == ("a\nb", '{"load": 0.99}')
    assert (await node_of(lab, "gpu3")).admission is Admission.OPEN


async def test_a_changed_reason_changes_the_version_and_a_job_elsewhere_does_not(lab: SlurmLab) -> None:
    before = await facts_of(lab, "gpu2")
    lab.submit("gpu3")
    assert (await facts_of(lab, "gpu2")).version == before.version
    lab.update("gpu2", "State=DRAIN", "Reason=x")
    assert (await facts_of(lab, "gpu2")).version != before.version


async def test_a_health_check_that_fails_is_a_holder_and_a_bad_condition(lab: SlurmLab) -> None:
    lab.make_sick("gpu4", "only 7 GPUs")
    await lab.settles(lambda: "DRAIN" in lab.states("gpu4"), "the health check drains gpu4")
    node = await node_of(lab, "gpu4")
    assert [(hold.by, hold.reason) for hold in node.holds] == [("NHC", "NHC: only 7 GPUs")]
    assert [condition.type for condition in node.bad_conditions] == ["HealthCheck"]


async def test_a_reboot_brings_another_boot_and_the_other_image(lab: SlurmLab) -> None:
    before = await node_of(lab, "gpu5")
    lab.update("gpu5", "State=DRAIN", "Reason=kernel")
    lab.hold_boot("gpu5")
    lab.scontrol("reboot", "reason=kernel", "gpu5")
    await lab.settles(lambda: "REBOOT_ISSUED" in lab.states("gpu5"), "gpu5 reboots")
    during = await node_of(lab, "gpu5")
    assert (during.stage, during.readiness) == (Stage.REIMAGING, Readiness.UNKNOWN)
    assert during.upgrade.startswith("reboot issued")
    lab.let_boot("gpu5")
    await lab.settles(
        lambda: lab.booted("gpu5") == "v2" and not lab.states("gpu5") - {"IDLE", "DRAIN"}, "gpu5 is back"
    )
    after = await node_of(lab, "gpu5")
    assert after.boot_id != before.boot_id
    assert after.image.running == "v2"
    assert (after.admission, after.stage, after.upgrade) == (Admission.CORDONED, Stage.DRAINED, "")
    lab.next_image("gpu5", "v1")


async def test_a_node_whose_slurmd_dies_is_not_heard_of(lab: SlurmLab) -> None:
    lab.stop_slurmd("gpu6")
    await lab.settles(lambda: "DOWN" in lab.states("gpu6"), "gpu6 is down", patience=60)
    node = await node_of(lab, "gpu6")
    assert (node.admission, node.readiness) == (Admission.CORDONED, Readiness.UNKNOWN)
    assert [hold.by for hold in node.holds] == ["slurmctld"]
    lab.start_slurmd("gpu6")
    await lab.settles(lambda: lab.states("gpu6") == {"IDLE"}, "gpu6 is back")
    assert (await node_of(lab, "gpu6")).readiness is Readiness.READY


# Jobs.


async def test_jobs_are_placements_with_their_user_gpus_and_whether_they_would_come_back(
    lab: SlurmLab,
) -> None:
    batch = lab.submit("gpu1", "--requeue", "-t", "90", gpus=3)
    stubborn = lab.submit("gpu1", "--no-requeue", gpus=2)
    by_hand = lab.interactive("gpu1", gpus=1)
    await lab.settles(lambda: {lab.job_state(batch), lab.job_state(stubborn)} == {"RUNNING"}, "jobs run")
    placed = {item.name: item for item in (await facts_of(lab, "gpu1")).placements}
    assert {name: (item.keeper, item.gpus) for name, item in placed.items()} == {
        batch: (Keeper.CONTROLLER, 3),
        stubborn: (Keeper.NOBODY, 2),
        by_hand: (Keeper.NOBODY, 1),
    }
    left = placed[batch].time_left
    assert left is not None
    assert timedelta(minutes=89) < left <= timedelta(minutes=90)
    assert placed[by_hand].time_left is None
    assert all(item.waits and item.user for item in placed.values())


async def test_a_job_s_gpus_are_told_by_node_where_they_were_asked_for_in_all(lab: SlurmLab) -> None:
    asked = ("sbatch", "--parsable", "-N2", "-w", "gpu7,gpu8", "--gpus=5", "-o", "/dev/null")
    job = lab.command(*asked, "-J", "odd \x1f name\n|", "--wrap=sleep 600").strip()
    await lab.settles(lambda: lab.job_state(job) == "RUNNING", "the job runs")
    keys = [NodeKey(SOURCE, "gpu7"), NodeKey(SOURCE, "gpu8")]
    facts = await reader_of(lab).read(keys)
    placed = [item for key in keys for item in facts[key].placements]
    assert [item.workload for item in placed] == [WorkloadId(placed[0].user, "job", job)] * 2
    assert sum(item.gpus for item in placed) == 5
    assert all(item.gpus for item in placed)


async def test_without_work_no_job_is_read(lab: SlurmLab) -> None:
    job = lab.submit("gpu1")
    await lab.settles(lambda: lab.job_state(job) == "RUNNING", "the job runs")
    key = NodeKey(SOURCE, "gpu1")
    assert (await reader_of(lab).read([key], work=False))[key].placements == ()


async def test_a_draining_node_is_draining_until_its_job_is_gone(lab: SlurmLab) -> None:
    job = lab.submit("gpu1")
    await lab.settles(lambda: lab.job_state(job) == "RUNNING", "the job runs")
    lab.update("gpu1", "State=DRAIN", "Reason=x")
    assert (await node_of(lab, "gpu1")).stage is Stage.DRAINING
    lab.cancel(job)
    await lab.settles(lambda: lab.states("gpu1") == {"IDLE", "DRAIN"}, "gpu1 is drained")
    assert (await node_of(lab, "gpu1")).stage is Stage.DRAINED


# Who we are, and what goes wrong.


async def test_the_cluster_is_known_by_its_name_and_its_controller(lab: SlurmLab) -> None:
    identity = await reader_of(lab).identity()
    assert identity.identity.startswith(f"{lab.cluster}@")
    config = await ask_config(commands_of(lab))
    assert config.reboot_program
    assert config.version
    assert not config.hash_differs


async def test_slurm_s_own_user_may_and_a_stranger_may_not(lab: SlurmLab) -> None:
    verbs = [Verb.DRAIN, Verb.REIMAGE]
    assert set((await reader_of(lab).allowed(verbs)).values()) == {Permission.ALLOWED}
    stranger = SlurmReader(commands_of(lab), RealClock(), source=SOURCE, uid=54321)
    assert set((await stranger.allowed(verbs)).values()) == {Permission.DENIED}


async def test_a_stranger_is_denied_by_slurm_itself(lab: SlurmLab) -> None:
    commands = SlurmCommands(RealClock(), lab.stranger())
    reader = SlurmReader(commands, RealClock(), source=SOURCE)
    assert await reader.read([NodeKey(SOURCE, "gpu1")])
    with pytest.raises(Denied, match=r"gpu1: scontrol update NodeName=gpu1 .*Invalid user id"):
        await commands.change("scontrol", "update", "NodeName=gpu1", "State=DRAIN", "Reason=x", about="gpu1")


async def test_a_list_with_one_wrong_name_is_missing_and_the_others_are_changed(lab: SlurmLab) -> None:
    with pytest.raises(Missing, match="Invalid node name"):
        await commands_of(lab).change("scontrol", "update", "NodeName=gpu1,nope", "State=DRAIN", "Reason=x")
    assert (await node_of(lab, "gpu1")).admission is Admission.CORDONED


async def test_a_controller_that_hangs_is_unreachable_and_a_change_meanwhile_unknown(lab: SlurmLab) -> None:
    lab.hang_controller()
    try:
        with pytest.raises(Unreachable):
            await reader_of(lab, timedelta(seconds=1)).read([NodeKey(SOURCE, "gpu1")])
        with pytest.raises(OutcomeUnknown):
            await commands_of(lab, timedelta(seconds=1)).change(
                "scontrol", "update", "NodeName=gpu1", "State=DRAIN", "Reason=late"
            )
    finally:
        lab.unhang_controller()
    await lab.settles(lambda: "DRAIN" in lab.states("gpu1"), "what timed out was applied later")


# The feed.


@dataclass(slots=True)
class Followed:
    """A real cluster followed by the real feed into a real store."""

    lab: SlurmLab
    store: FleetStore = field(default_factory=FleetStore)
    states: list[FeedState] = field(default_factory=list)

    def report(self, observations: Sequence[Observation]) -> None:
        self.states += [seen.state for seen in observations if isinstance(seen, FeedChanged)]
        self.store.apply_all(observations)

    def node(self, name: str) -> Node:
        row = self.store.record(NodeKey(SOURCE, name))
        assert row is not None, name
        return row.node

    def health(self, name: str = "nodes") -> FeedHealth:
        return next(state.health for state in self.store.feed_states() if state.name == name)

    @property
    def names(self) -> list[str]:
        return sorted(row.key.name for row in self.store.rows())


@asynccontextmanager
async def followed(lab: SlurmLab, deadline: timedelta = DEADLINE) -> AsyncIterator[Followed]:
    at = Followed(lab)
    feed = SlurmFeed(
        commands_of(lab, deadline),
        RealClock(),
        Random(1),  # noqa: S311
        source=SOURCE,
        reading=NodeReading(),
    )
    task = asyncio.create_task(feed.follow(at.report))
    try:
        await lab.settles(
            lambda: at.names == sorted(lab.nodes) and at.health("jobs") is FeedHealth.LIVE, "live"
        )
        yield at
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_the_feed_shows_every_node_and_then_only_what_changes(lab: SlurmLab) -> None:
    async with followed(lab) as at:
        assert at.node("gpu1").topology.switch == "leaf1"
        revision = at.store.revision
        job = lab.submit("gpu1", gpus=3)
        lab.update("gpu2", "State=DRAIN", "Reason=dust")
        await lab.settles(lambda: at.node("gpu2").stage is Stage.DRAINED, "gpu2 is drained in the store")

        def shown() -> bool:
            work = at.store.record(NodeKey(SOURCE, "gpu1"))
            return bool(work and work.work and work.work.gpus_used == 3 and work.work.workloads)

        await lab.settles(shown, "the job's GPUs are in use")
        row = at.store.record(NodeKey(SOURCE, "gpu1"))
        assert row is not None
        assert row.work is not None
        assert [workload.name for workload in row.work.workloads] == [job]
        changed = {row.key.name for row in at.store.rows() if row.revision > revision}
        assert changed == {"gpu1", "gpu2"}


async def test_a_stopped_controller_is_an_unreachable_feed_not_an_empty_fleet(lab: SlurmLab) -> None:
    async with followed(lab) as at:
        lab.stop_controller()
        try:
            await lab.settles(lambda: at.health() is FeedHealth.UNREACHABLE, "the feed is unreachable")
            assert at.names == sorted(lab.nodes)
            assert "Unable to contact slurm controller" in at.states[-1].why
        finally:
            lab.start_controller()
        await lab.settles(lambda: at.health() is FeedHealth.LIVE, "the feed is live again", patience=60)
        assert at.names == sorted(lab.nodes)


async def test_a_munged_that_hangs_is_an_unreachable_feed(lab: SlurmLab) -> None:
    async with followed(lab, timedelta(seconds=2)) as at:
        lab.hang_munged()
        try:
            await lab.settles(lambda: at.health() is FeedHealth.UNREACHABLE, "the feed is unreachable")
            assert "no answer in 2 s" in at.states[-1].why
            assert at.names == sorted(lab.nodes)
        finally:
            lab.unhang_munged()
        await lab.settles(lambda: at.health() is FeedHealth.LIVE, "the feed is live again", patience=60)


async def test_a_controller_that_restarts_in_the_middle_of_a_drain_still_has_the_hold(lab: SlurmLab) -> None:
    job = lab.submit("gpu1")
    await lab.settles(lambda: lab.job_state(job) == "RUNNING", "the job runs")
    lab.update("gpu1", "State=DRAIN", "Reason=dust", "Comment=ours", 'Extra={"load": 0.99}')
    async with followed(lab) as at:
        assert at.node("gpu1").stage is Stage.DRAINING
        lab.stop_controller()
        await lab.settles(lambda: at.health() is FeedHealth.UNREACHABLE, "the feed is unreachable")
        assert at.node("gpu1").stage is Stage.DRAINING
        lab.start_controller()
        await lab.settles(lambda: at.health() is FeedHealth.LIVE, "the feed is live again", patience=60)
        await lab.settles(lambda: at.node("gpu1").stage is Stage.DRAINING, "it drains still")
        assert [hold.reason for hold in at.node("gpu1").holds] == ["dust"]
        (seen,) = (await reader_of(lab).seen(["gpu1"])).values()
        assert (seen.comment, seen.extra) == ("ours", '{"load": 0.99}')


async def test_a_slurm_conf_that_is_not_the_controller_s_is_told_by_slurm(lab: SlurmLab) -> None:
    other = lab.folder / "other.conf"
    other.write_text(lab.conf.read_text() + "\nMinJobAge=17\n")
    config = await ask_config(SlurmCommands(RealClock(), lab.environ, other))
    assert config.hash_differs.startswith("Different")
