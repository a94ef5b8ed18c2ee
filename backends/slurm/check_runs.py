"""The port `CommandRunner` of a Slurm cluster: srun on a closed node, inside a maintenance reservation of our own.

Slurm starts nothing on a drained node. So the node is reserved first, for maintenance and without an end, and only then undrained:
the reservation keeps everybody else's jobs away. Afterwards it is drained again, and the reservation goes last. Whenever this is
cut off the node stays closed, by the one or the other. Tried on 22.05.8.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import timedelta

from backends.slurm.closing import reason_of
from backends.slurm.commands import SlurmCommands
from backends.slurm.editing import Look, expect_name
from backends.slurm.errors import Completed
from backends.slurm.seen import Seen
from fleet.diagnosis import OUTPUT_LIMIT, Diagnose, Ran
from fleet.errors import Conflict, Missing, Rejected
from fleet.node import NodeKey
from fleet.operation import Progress
from fleet.plan import NodeFacts, Step
from fleet.ports import Clock
from fleet.remark import Remark
from fleet.text import clean

PREFIX = "quarterdeck_check-"
"""How the name of a check's reservation begins; the node's name follows. No lock's begins so, whatever its node is called."""

JOB = "quarterdeck-check"
SLACK = timedelta(minutes=1)
_SETTLE = timedelta(seconds=1)
_SETTLES = 20
_RAN = re.compile(r"^srun: error: \S+: tasks? [\d,-]+: ", re.MULTILINE)
_ERROR = re.compile(r"^srun: error: (.+)$", re.MULTILINE)
_PARTITIONS = re.compile(r"\bPartitions=([^\s,]+)")
_LEFT = re.compile(rf"^ReservationName={PREFIX}(\S+) StartTime=(\S+) ", re.MULTILINE)


class SrunRunner:
    """A `fleet.ports.CommandRunner` of one cluster. `look` reads nodes fresh; `user` is whom the reservation lets in."""

    def __init__(self, commands: SlurmCommands, look: Look, clock: Clock, user: str) -> None:
        self._commands = commands
        self._look = look
        self._clock = clock
        self._user = user

    @property
    def commands(self) -> SlurmCommands:
        return self._commands

    async def refusal(self) -> str:
        """Slurm tells by trying whether we may reserve a node."""
        return ""

    async def run(self, step: Step, facts: NodeFacts, progress: Callable[[Progress], None]) -> Ran:
        """See `fleet.ports.CommandRunner.run`. What an earlier program left in the reservation is ended first."""
        action, name = step.action, expect_name(step.node.name)
        assert isinstance(action, Diagnose), "only an active check is run"
        where = f"srun in reservation {PREFIX}{name}"
        there = await self._reserved(name)
        if there:
            await self._end_jobs(name)
            await self._until(step.node, lambda now: not now.busy, "what was left running there does not end")
        seen = await self._see(step.node)
        why = _unfit(seen, facts, reserved=there)
        if why:
            return Ran(why=why, clears="draining it with Quarterdeck", where=where, at=self._clock.now())
        try:
            if not there:
                await self._commands.change(*self._reserve(name), about=name)
            progress(
                Progress(step.id, step.node, f"{action.check}: in maintenance reservation {PREFIX}{name}")
            )
            await self._until(step.node, lambda now: "MAINT" in now.flags, "its reservation does not show")
            if seen.drain:
                await self._commands.change(
                    "scontrol", "update", f"NodeName={name}", "State=UNDRAIN", about=name
                )
            await self._answers(step.node)
            done = await self._commands.ask_long(
                *await self._srun(name, action), deadline=action.starts_in + action.deadline + SLACK
            )
            return _ran(done, where, self._clock)
        finally:
            await asyncio.shield(self._close(step.node, seen.reason))

    async def clean_up(self, step: Step) -> None:
        """See `fleet.ports.CommandRunner.clean_up`."""
        if await self._reserved(expect_name(step.node.name)):
            await self._close(step.node, "")

    async def _close(self, node: NodeKey, reason: str) -> None:
        """End its jobs, drain the node, and only then give the reservation up. Raises FleetError; it stays closed by either."""
        name = node.name
        await self._end_jobs(name)
        seen = await self._see(node)
        if not seen.drain:
            text = reason or reason_of(seen.note)
            changes = (f"NodeName={name}", "State=DRAIN", f"Reason={text}")
            await self._commands.change("scontrol", "update", *changes, about=name)
        await self._until(node, lambda now: now.drain and not now.busy, "it is not drained and idle again")
        try:
            await self._commands.change("scontrol", "delete", f"ReservationName={PREFIX}{name}", about=name)
        except Missing:
            return
        await self._until(node, lambda now: "MAINT" not in now.flags, "its reservation does not go away")

    async def _until(self, node: NodeKey, holds: Callable[[Seen], bool], says: str) -> Seen:
        seen = await self._see(node)
        for _ in range(_SETTLES):
            if holds(seen):
                return seen
            await self._clock.sleep(_SETTLE)
            seen = await self._see(node)
        raise Conflict(f"{says}: it is {seen.state}", about=node.name)

    async def _answers(self, node: NodeKey) -> None:
        """Wait until slurmctld has heard of the node again, which an undrained one takes a moment for. Raises Conflict."""
        await self._until(node, lambda now: now.responds and not now.drain, "it does not answer")

    async def _see(self, node: NodeKey) -> Seen:
        found = (await self._look([node.name])).get(node.name)
        if found is None:
            raise Missing("it is not there any more", about=node.name)
        return found

    async def _reserved(self, name: str) -> bool:
        """Whether its reservation is there. Raises FleetError where that can't be told."""
        try:
            shown = await self._commands.read(
                "scontrol", "show", "reservation", f"{PREFIX}{name}", "-o", about=name
            )
        except Missing:
            return False
        return f"ReservationName={PREFIX}{name} " in shown

    async def _end_jobs(self, name: str) -> None:
        """Cancel whatever runs in the reservation. Raises FleetError."""
        try:
            listed = await self._commands.read(
                "squeue", "-h", "-o", "%A", "-R", f"{PREFIX}{name}", about=name
            )
        except (Missing, Rejected):
            return
        jobs = [job for job in listed.split() if job.isdecimal()]
        if jobs:
            await self._commands.change("scancel", *jobs, about=name)

    def _reserve(self, name: str) -> Sequence[str]:
        return (
            *("scontrol", "create", "reservation", f"ReservationName={PREFIX}{name}", "StartTime=now"),
            *("Duration=UNLIMITED", f"Users={self._user}", "Flags=MAINT,IGNORE_JOBS", f"Nodes={name}"),
        )

    async def _srun(self, name: str, action: Diagnose) -> Sequence[str]:
        """The whole command line: one task with every GPU, nothing read, no shell."""
        shown = await self._commands.read("scontrol", "show", "node", name, "-o", about=name)
        partition = _PARTITIONS.search(shown)
        return (
            *("srun", f"--nodelist={name}", "--nodes=1", "--ntasks=1", "--exclusive", "--input=none"),
            *((f"--gres=gpu:{action.gpus}",) if action.gpus else ()),
            *((f"--partition={partition[1]}",) if partition else ()),
            f"--reservation={PREFIX}{name}",
            f"--job-name={JOB}",
            f"--comment={clean(f'{action.operation} {action.check}', 100)}",
            f"--time={max(1, round(action.deadline.total_seconds() / 60))}",
            f"--immediate={max(1, round(action.starts_in.total_seconds()))}",
            # Nothing else of the operator's environment: a token in it could end in what the check prints, and so in the journal.
            *("--export=PATH,LANG", "--chdir=/", "--kill-on-bad-exit=1", "--", *action.command),
        )


async def leftovers(commands: SlurmCommands, source: str) -> Sequence[Remark]:
    """Reservations of checks that are there now: none should outlive its operation. Raises FleetError."""
    text = await commands.read("scontrol", "show", "reservation", "-o")
    return tuple(
        Remark(
            f"{source} checks",
            None,
            f"reservation {PREFIX}{clean(name, 120)} keeps it closed for a check since {clean(since, 40)}",
            f"resume or cancel its operation; else drain it, then scontrol delete ReservationName={PREFIX}{clean(name, 120)}",
        )
        for name, since in _LEFT.findall(text)
    )


def _unfit(seen: Seen, facts: NodeFacts, *, reserved: bool) -> str:
    """Why nothing may be run on the node as it is; empty where it may. `reserved`: by an earlier run of this very kind."""
    held = [item for item in facts.placements if not item.finished]
    if held and not reserved:
        return f"work is on it: {', '.join(clean(item.name, 60) for item in held[:3])}"
    if seen.base != "IDLE" or seen.rebooting or seen.power_moves or not seen.responds:
        return f"it is {seen.state}, not idle and drained"
    if "MAINT" in seen.flags and not reserved:
        return "it is in somebody else's maintenance reservation, whose jobs would land on it undrained"
    if seen.held_by_reason:
        return f"somebody else's Reason stands on it, which undraining would erase: {clean(seen.reason, 120)}"
    return "" if seen.drain or reserved else f"it is {seen.state}, not drained"


def _ran(done: Completed, where: str, clock: Clock) -> Ran:
    """What srun's end says of the command's. One that Slurm never started has no exit of its own."""
    output = "".join(
        line for line in done.err.splitlines(keepends=True) if not line.startswith(("srun:", "slurmstepd"))
    )
    text = f"{output}{done.out}"
    cut = len(text) > OUTPUT_LIMIT
    if done.rc and _RAN.search(done.err) is None:
        errors = _ERROR.findall(done.err)
        why = clean(errors[-1] if errors else f"srun exited with {done.rc}", 200)
        return Ran(text[-OUTPUT_LIMIT:], None, clock.now(), where, cut, f"Slurm did not run it: {why}")
    return Ran(text[:OUTPUT_LIMIT], done.rc, clock.now(), where, cut)
