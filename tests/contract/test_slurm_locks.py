"""The lock on a node on a real slurmctld: one operator has it, it costs no job, and it lapses when its program is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from backends.slurm.commands import SlurmCommands
from backends.slurm.locks import LASTS, PREFIX, ReservationLocks, ask_locks
from backends.slurm.reader import SlurmReader
from fleet.errors import Conflict
from fleet.node import NodeKey
from fleet.plan import Permission
from fleet.verb import Verb
from tests.contract.real_clock import RealClock
from tests.slurm_lab import SlurmLab, slurm_lab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm-trouble")]

NODE = NodeKey("lab", "gpu1")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmLab]:
    with slurm_lab(tmp_path_factory.mktemp("slurm"), 2) as lab:
        yield lab


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody at a terminal of their own."""

    locks: ReservationLocks
    commands: SlurmCommands
    by: str

    async def take(self, operation: str) -> str:
        return await self.locks.take(NODE, operation, self.by)

    async def give_back(self, operation: str) -> None:
        await self.locks.give_back(NODE, operation)


@asynccontextmanager
async def operator(
    lab: SlurmLab, by: str, *, lasts: timedelta = LASTS, environ: dict[str, str] | None = None
) -> AsyncIterator[Operator]:
    """One whose lock, if any is left, is given back at the end."""
    commands = SlurmCommands(RealClock(), environ or lab.environ, deadline=timedelta(seconds=15))
    locks = ReservationLocks(commands, RealClock(), lasts=lasts)
    try:
        yield Operator(locks, commands, by)
    finally:
        for operation in ("op-1", "op-2"):
            await locks.give_back(NODE, operation)


def reserved(lab: SlurmLab) -> bool:
    return f"{PREFIX}gpu1" in lab.scontrol("show", "reservation", "-o")


async def test_a_second_operator_is_refused_and_told_who_has_it_until_it_is_given_back(lab: SlurmLab) -> None:
    async with operator(lab, "oncall@login1") as first, operator(lab, "night@login2") as second:
        assert await first.take("op-1") == ""
        with pytest.raises(Conflict, match=r"operation op-1 of oncall@login1 is at it since .* lapses at"):
            await second.take("op-2")
        await first.give_back("op-1")
        assert not reserved(lab)
        assert await second.take("op-2") == ""


async def test_of_many_who_take_it_at_once_one_has_it(lab: SlurmLab) -> None:
    async with operator(lab, "oncall") as first, operator(lab, "night") as second:
        found = await asyncio.gather(first.take("op-1"), second.take("op-2"), return_exceptions=True)
        assert sorted(type(each) is str for each in found) == [False, True]
        assert any(isinstance(each, Conflict) for each in found)


async def test_a_lock_ends_no_job_keeps_none_out_and_does_not_show_on_the_node(lab: SlurmLab) -> None:
    running = lab.submit("gpu1")
    lab.until(lambda: lab.job_state(running) == "RUNNING", "the job runs")
    async with operator(lab, "oncall") as first:
        before = lab.states("gpu1")
        await first.take("op-1")
        landing = lab.submit("gpu1")
        lab.until(lambda: lab.job_state(landing) == "RUNNING", "another lands")
        assert lab.job_state(running) == "RUNNING"
        assert lab.states("gpu1") == before == {"MIXED"}
        await first.give_back("op-1")
        assert {lab.job_state(running), lab.job_state(landing)} == {"RUNNING"}
    lab.cancel(running)
    lab.cancel(landing)


async def test_a_lock_that_a_dead_program_left_is_taken_on_by_its_operation_and_not_by_another(
    lab: SlurmLab,
) -> None:
    async with operator(lab, "oncall") as first, operator(lab, "oncall") as resumed:
        await first.take("op-1")
        with pytest.raises(Conflict, match="op-1"):
            await resumed.take("op-2")
        assert await resumed.take("op-1") == ""


async def test_a_lock_that_nobody_keeps_up_lapses_and_one_that_is_kept_up_does_not(lab: SlurmLab) -> None:
    span = timedelta(seconds=2)
    async with operator(lab, "oncall", lasts=span) as first, operator(lab, "night") as second:
        await first.take("op-1")
        (lock,) = (await ask_locks(first.commands)).values()
        over = lock.until
        assert over is not None
        await lab.settles(lambda: RealClock().now() > over + span, "its first span is over")
        with pytest.raises(Conflict):
            await second.take("op-2")
        taken = first.locks._taken[NODE.name]
        assert taken.keeping is not None
        taken.keeping.cancel()
        await lab.settles(lambda: not reserved(lab), "it lapses", 90)
        assert await second.take("op-2") == ""
        await first.give_back("op-1")
        assert reserved(lab), "what is another's by now is left alone"


async def test_a_lock_that_somebody_took_away_is_made_anew_or_missed(lab: SlurmLab) -> None:
    span = timedelta(seconds=2)
    async with operator(lab, "oncall", lasts=span) as first, operator(lab, "night") as second:
        await first.take("op-1")
        lab.scontrol("delete", f"ReservationName={PREFIX}gpu1")
        await lab.settles(lambda: reserved(lab), "it is made anew")
        first.locks.expect(NODE, "op-1")
        taken = first.locks._taken[NODE.name]
        lab.scontrol("delete", f"ReservationName={PREFIX}gpu1")
        await second.take("op-2")
        await lab.settles(lambda: bool(taken.lost), "it is missed")
        with pytest.raises(Conflict, match="our lock lapsed, and operation op-2 of night is at it"):
            first.locks.expect(NODE, "op-1")


async def test_who_may_not_reserve_is_told_that_a_second_operator_is_only_detected(lab: SlurmLab) -> None:
    async with operator(lab, "nobody", environ=lab.stranger()) as nobody:
        told = await nobody.take("op-1")
        assert "does not let us take its lock" in told
        assert "detected, not excluded" in told
        nobody.locks.expect(NODE, "op-1")
        await nobody.give_back("op-1")


async def test_a_plan_reads_whose_turn_it_is_and_a_cordon_does_not_ask(lab: SlurmLab) -> None:
    async with operator(lab, "oncall@login1") as first:
        await first.take("op-1")
        key = NodeKey(lab.cluster, "gpu1")
        reader = SlurmReader(first.commands, RealClock(), source=lab.cluster)
        lock = (await reader.read([key]))[key].lock
        assert lock is not None
        assert (lock.by, lock.operation) == ("oncall@login1", "op-1")
        assert (await reader.read([key], work=False))[key].lock is None


async def test_who_may_perhaps_not_reserve_reads_so_in_the_facts(lab: SlurmLab) -> None:
    key = NodeKey(lab.cluster, "gpu1")
    commands = SlurmCommands(RealClock(), lab.environ)
    other = SlurmReader(commands, RealClock(), source=lab.cluster, uid=65534)
    assert (await other.allowed([Verb.DRAIN]))[Verb.DRAIN] is Permission.DENIED
    assert "detected, not excluded" in (await other.read([key]))[key].no_lock
