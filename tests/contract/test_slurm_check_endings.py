"""Whole operations with active checks on a real slurmctld, cut off and ended in every way: what they left goes, no one else's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.diagnostics.runner import DiagnosticsRunner
from backends.slurm.actions import SlurmWriter
from backends.slurm.check_reservations import PREFIX, ask_reserved
from backends.slurm.check_runs import SrunRunner
from backends.slurm.commands import SlurmCommands
from backends.slurm.reader import SlurmReader
from fleet.category import Category, CheckPolicy, OnNode
from fleet.dispatch import Dispatcher
from fleet.health import Finding, Verdict
from fleet.holder import HolderKind
from fleet.node import NodeKey
from fleet.operation import Operation, OperationState
from fleet.plan import NodeFacts, Options, Request, Verb
from fleet.policy import Policy
from tests.contract.real_clock import RealClock
from tests.fakes import MemoryJournal
from tests.slurm_lab import SlurmLab, slurm_lab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm-checks")]

CHECK = "site.links"


class QuickClock(RealClock):
    """A clock of which an operation's patience is soon over."""

    def monotonic(self) -> float:
        return 40 * super().monotonic()

    async def sleep(self, span: timedelta) -> None:
        await super().sleep(span / 40)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmLab]:
    with slurm_lab(tmp_path_factory.mktemp("slurm"), 2) as lab:
        yield lab


@dataclass
class Floor:
    """A node that is cordoned, and one operator's program after another, whose check runs while `slow` has a word in it."""

    lab: SlurmLab
    slow: Path
    journal: MemoryJournal = field(default_factory=MemoryJournal)

    def __post_init__(self) -> None:
        clock = RealClock()
        self.commands = SlurmCommands(clock, self.lab.environ, deadline=timedelta(seconds=15))
        self.reader = SlurmReader(self.commands, clock, source=self.lab.cluster)
        self.dispatcher = self.program()

    @property
    def node(self) -> NodeKey:
        return NodeKey(self.lab.cluster, "gpu1")

    async def findings(self, facts: NodeFacts, category: Category) -> Sequence[Finding]:
        """The port `Checker`: what was run decides."""
        return facts.findings

    def program(self) -> Dispatcher:
        command = ("/bin/sh", "-c", f"[ ! -s {self.slow} ] || sleep 300; echo all links up")
        rule = CheckPolicy(needed=True, on_node=OnNode(command=command))
        policy = Policy(any_other=Category("", checks={CHECK: rule}, settle_deadline=timedelta(seconds=20)))
        clock, source = RealClock(), self.lab.cluster
        runner = SrunRunner(self.commands, self.reader.seen, clock, "root")
        return Dispatcher(
            readers={source: self.reader},
            writers={source: SlurmWriter(self.commands, self.reader.seen, self.reader, clock)},
            checker=self,
            journal=self.journal,
            clock=QuickClock(),
            policy=policy,
            owner="oncall@desk",
            check_runners={source: DiagnosticsRunner(runner, clock)},
        )

    async def does(self, verb: Verb, operation: str, **options: Any) -> Operation:
        request = Request(verb, (self.node,), "oncall@desk", "dust", operation, Options(**options))
        return await self.dispatcher.run(await self.dispatcher.plan(request))

    async def cut_off(self) -> Operation:
        """A gate whose program is gone while its check runs; the next program is the floor's."""
        request = Request(Verb.GATE, (self.node,), "oncall@desk", "dust", "op-1", Options())
        self.dispatcher.start(await self.dispatcher.plan(request))
        await self.lab.settles(lambda: "ALLOCATED" in self.lab.states("gpu1"), "the check runs")
        await self.killed()
        assert await ask_reserved(self.commands, "gpu1") is not None
        (left,) = [each for each in await self.journal.operations() if each.id == "op-1"]
        return left

    async def killed(self) -> None:
        """The program is gone at once, and ends nothing: what its check started is put there again as it was."""
        await self.dispatcher.leave()
        self.reserve("op-1")
        self.dispatcher = self.program()

    def reserve(self, operation: str) -> None:
        """As a kill -9 in the middle of a check leaves it: reserved and undrained."""
        self.lab.scontrol(
            *("create", "reservation", f"ReservationName={PREFIX}gpu1", "StartTime=now"),
            *("Duration=UNLIMITED", "Users=root", "Flags=MAINT,IGNORE_JOBS", "Nodes=gpu1"),
            f"BurstBuffer=quarterdeck:{operation}/oncall@desk",
        )
        self.lab.node_is("gpu1", "MAINTENANCE")
        self.lab.update("gpu1", "State=UNDRAIN")
        self.lab.node_is("gpu1", "IDLE", without=("DRAIN", "NOT_RESPONDING"))

    async def ended(self) -> Operation:
        return await asyncio.wait_for(self.dispatcher.finished("op-1"), 60)

    async def cancelled(self, left: Operation) -> Operation:
        """Resumed, and cancelled before its node starts."""
        await self.dispatcher.resume(left)
        self.dispatcher.cancel(left.id)
        return await self.ended()


@pytest.fixture
async def floor(lab: SlurmLab, tmp_path: Path) -> Any:
    tmp_path.chmod(0o755)
    made = Floor(lab, tmp_path / "slow")
    made.slow.write_text("yes")
    await made.does(Verb.CORDON, "op-0")
    yield made
    await made.dispatcher.leave()
    for job in lab.command("squeue", "-h", "-o", "%A").split():
        lab.command("scancel", job, check=False)
    lab.scontrol("delete", f"ReservationName={PREFIX}gpu1", check=False)
    lab.update("gpu1", "Extra=")
    lab.scontrol("update", "NodeName=gpu1", "State=UNDRAIN", check=False)
    lab.node_is("gpu1", "IDLE", without=("DRAIN", "NOT_RESPONDING", "COMPLETING", "MAINT"))


async def test_a_resume_that_is_cancelled_before_its_node_starts_leaves_the_node_as_it_was_found(
    floor: Floor,
) -> None:
    left = await floor.cut_off()
    job = floor.lab.submit("gpu1", f"--reservation={PREFIX}gpu1")
    operation = await floor.cancelled(left)
    assert (operation.state, operation.says) == (OperationState.CANCELLED, "cancelled")
    assert await ask_reserved(floor.commands, "gpu1") is None
    assert floor.lab.states("gpu1") == {"IDLE", "DRAIN"}
    assert "Reason=quarterdeck: dust (oncall@desk, cordon) [" in floor.lab.line("gpu1")
    assert floor.lab.job_state(job) in ("", "CANCELLED")
    assert (await floor.reader.read([floor.node]))[floor.node].node.gate is None


async def test_a_hold_that_somebody_lifted_meanwhile_is_not_put_back_and_nothing_of_ours_stays(
    floor: Floor,
) -> None:
    left = await floor.cut_off()
    uncordoned = await floor.does(Verb.UNCORDON, "op-2", take_over=("reservation",))
    assert uncordoned.state is OperationState.DONE, uncordoned.says
    operation = await floor.cancelled(left)
    assert operation.state is OperationState.CANCELLED
    assert await ask_reserved(floor.commands, "gpu1") is None
    (hold,) = (await floor.reader.read([floor.node]))[floor.node].node.holds
    told = "closed before a check of op-1, and nobody's hold is left on it: gate or uncordon it"
    assert (hold.by, hold.kind, hold.reason) == ("oncall@desk", HolderKind.OURS, told)
    assert (await floor.does(Verb.UNCORDON, "op-3")).state is OperationState.DONE
    floor.lab.node_is("gpu1", "IDLE", without=("DRAIN",))


async def test_another_operations_reservation_stays_where_this_one_ends(floor: Floor) -> None:
    left = await floor.cut_off()
    floor.lab.scontrol("delete", f"ReservationName={PREFIX}gpu1")
    floor.lab.node_is("gpu1", "IDLE", without=("MAINTENANCE",))
    floor.reserve("op-9")
    job = floor.lab.submit("gpu1", f"--reservation={PREFIX}gpu1")
    floor.lab.until(lambda: floor.lab.job_state(job) == "RUNNING", "the other's check runs")
    operation = await floor.cancelled(left)
    assert operation.state is OperationState.CANCELLED
    there = await ask_reserved(floor.commands, "gpu1")
    assert there is not None
    assert (there.operation, floor.lab.job_state(job)) == ("op-9", "RUNNING")


async def test_a_controller_that_is_away_is_said_with_what_is_left_and_a_resume_takes_it_away(
    floor: Floor,
) -> None:
    left = await floor.cut_off()
    await floor.dispatcher.resume(left)
    floor.dispatcher.cancel(left.id)
    await asyncio.to_thread(floor.lab.stop_controller)
    try:
        operation = await floor.ended()
    finally:
        await asyncio.to_thread(floor.lab.start_controller)
    assert operation.state is OperationState.FAILED
    assert f"gpu1: left behind: maintenance reservation {PREFIX}gpu1" in operation.says
    assert f"then scontrol delete ReservationName={PREFIX}gpu1" in operation.says
    assert "resume it to try again" in operation.says
    floor.lab.node_is("gpu1", "IDLE", "MAINTENANCE", without=("NOT_RESPONDING",))
    floor.dispatcher = floor.program()
    (found,) = [each for each in await floor.journal.operations() if each.id == "op-1"]
    await floor.dispatcher.resume(found)
    assert (await floor.ended()).state is OperationState.CANCELLED
    assert await ask_reserved(floor.commands, "gpu1") is None
    assert floor.lab.states("gpu1") == {"IDLE", "DRAIN"}


async def test_resumed_to_its_end_it_is_judged_and_nothing_stays(floor: Floor) -> None:
    left = await floor.cut_off()
    floor.slow.write_text("")
    await floor.dispatcher.resume(left)
    operation = await floor.ended()
    assert operation.state is OperationState.DONE, operation.says
    record = (await floor.reader.read([floor.node]))[floor.node].node.gate
    assert record is not None
    assert record.verdict is Verdict.PASS
    assert await ask_reserved(floor.commands, "gpu1") is None
