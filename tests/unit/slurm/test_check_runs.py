"""A check's srun as its cluster answers: slow to kill what was left, and cut off in ways that srun itself does not exit by."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import cast

import pytest

from backends.slurm.check_reservations import PREFIX
from backends.slurm.check_runs import SrunRunner
from backends.slurm.commands import SlurmCommands
from backends.slurm.errors import Completed
from backends.slurm.seen import Seen
from fleet.diagnosis import Diagnose, Ran
from fleet.errors import Missing, Unreachable
from fleet.node import Node, NodeKey
from fleet.plan import NodeFacts, Step
from tests.clocks import ManualClock

KEY = NodeKey("lab", "gpu1")
STEP = Step(
    "lab/gpu1/1-diagnose", KEY, Diagnose("site.links", "op-1", "oncall", ("check",), gpus=8), "run it"
)


class Cluster:
    """One drained node, whose work that was cancelled ends after `ends_in` seconds, and what srun says at its end."""

    def __init__(self, *, reserved: bool = False, ends_in: float = 0.0, rc: int = 0, err: str = "") -> None:
        self.clock = ManualClock()
        self.reserved, self.drained = reserved, not reserved
        self.ends_in, self.ends_at = ends_in, float("inf") if ends_in else 0.0
        self.silent = False
        self.said = Completed(("srun",), rc, "all links up\n", err)

    async def read(self, *argv: str, about: str = "") -> str:
        if argv[0] == "squeue":
            return "7\n" if self.busy else ""
        if argv[:3] != ("scontrol", "show", "reservation"):
            return "NodeName=gpu1 Partitions=train"
        if not self.reserved:
            raise Missing("not found", about=about)
        return (
            f"ReservationName={PREFIX}gpu1 StartTime=now EndTime=never BurstBuffer=quarterdeck:op-1/oncall\n"
        )

    async def change(self, *argv: str, about: str) -> str:
        if argv[0] == "scancel":
            self.ends_at = min(self.ends_at, self.clock.monotonic() + self.ends_in)
        elif argv[1] in ("create", "delete"):
            self.reserved = argv[1] == "create"
        else:
            self.drained = "State=DRAIN" in argv
        return ""

    async def ask_long(self, *argv: str, deadline: timedelta) -> Completed:
        if self.silent:
            raise Unreachable(f"no answer in {deadline.total_seconds():g} s", about="srun")
        return self.said

    @property
    def busy(self) -> bool:
        return self.clock.monotonic() < self.ends_at

    async def look(self, names: Sequence[str]) -> Mapping[str, Seen]:
        flags = {"MAINT"} if self.reserved else set()
        flags |= {"DRAIN"} if self.drained else set()
        return {name: Seen(name, "ALLOCATED" if self.busy else "IDLE", frozenset(flags)) for name in names}

    async def run(self) -> Ran:
        """The check to its end, with time moving while it waits."""
        runner = SrunRunner(cast("SlurmCommands", self), self.look, self.clock, "root")
        running = asyncio.ensure_future(runner.run(STEP, NodeFacts(Node(KEY)), lambda progress: None))
        while not running.done():
            await self.clock.advance(timedelta(seconds=1))
        return await running


async def test_what_was_left_running_is_waited_for_as_long_as_slurm_takes_to_kill_it() -> None:
    """KillWait is 30 s by default, and an epilog comes after it."""
    cluster = Cluster(reserved=True, ends_in=90.0)
    ran = await cluster.run()
    assert (ran.exit_code, ran.why) == (0, "")
    assert (cluster.reserved, cluster.drained) == (False, True)


async def test_an_srun_that_never_ends_is_told_and_not_run_once_more() -> None:
    """What can't be reached is tried again for a while; a check is not."""
    cluster = Cluster()
    cluster.silent = True
    ran = await cluster.run()
    assert (ran.exit_code, ran.why) == (None, "srun: no answer in 1020 s")
    assert (cluster.reserved, cluster.drained) == (False, True)


@pytest.mark.parametrize(
    ("err", "says"),
    [
        ("srun: error: Node failure on gpu1\n", "Node failure on gpu1"),
        ("noise\nsrun: Force Terminated job 7\n", "Force Terminated job 7"),
        (
            "srun: Job step aborted: Waiting up to 32 seconds.\n",
            "Job step aborted: Waiting up to 32 seconds.",
        ),
        ("slurmstepd-gpu1: error: *** STEP 7.0 CANCELLED ***\n", "STEP 7.0 CANCELLED ***"),
        (f"srun: error: \x1b[2J{'x' * 40_000}\n", "x" * 150),
    ],
)
async def test_an_exit_of_0_beside_srun_saying_that_it_was_cut_off_is_no_exit_of_the_command(
    err: str, says: str
) -> None:
    ran = await Cluster(err=err).run()
    assert ran.exit_code is None
    assert ran.why.startswith(f"Slurm cut it off: {says}")
    assert ran.why.isprintable()
    assert len(ran.why) <= 220


@pytest.mark.parametrize("rc", [0, 1])
async def test_what_the_command_itself_says_on_stderr_leaves_its_exit_alone(rc: int) -> None:
    err = "warning: srun: error: quoted\n" + (
        "srun: error: gpu1: task 0: Exited with exit code 1\n" if rc else ""
    )
    ran = await Cluster(rc=rc, err=err).run()
    assert (ran.exit_code, ran.why) == (rc, "")
    assert ran.output == "warning: srun: error: quoted\nall links up\n"
