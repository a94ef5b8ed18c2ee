"""The port `CommandRunner` of a Slurm cluster: srun on a closed node, inside a maintenance reservation of our own.

Slurm starts nothing on a drained node. So the node is reserved first, for maintenance and without an end, and only then undrained:
the reservation keeps everybody else's jobs away. Afterwards it is drained again, and the reservation goes last. Whenever this is
cut off the node stays closed, by the one or the other. Tried on 22.05.8.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from backends.slurm.check_reservations import PREFIX, ask_reserved, by_hand, reserve_argv
from backends.slurm.closing import Change, close, drain_again
from backends.slurm.commands import SlurmCommands
from backends.slurm.editing import Look, expect_name
from backends.slurm.errors import Completed
from backends.slurm.seen import Seen
from fleet.diagnosis import OUTPUT_LIMIT, Diagnose, Ran
from fleet.errors import Conflict, FleetError, Missing, Rejected, Unreachable
from fleet.holder import Hold
from fleet.node import NodeKey
from fleet.operation import Progress
from fleet.plan import Close, NodeFacts, Step, Verb
from fleet.ports import Clock
from fleet.text import clean

JOB = "quarterdeck-check"
SLACK = timedelta(minutes=2)
"""How much longer than its own deadlines srun is waited for: Slurm counts whole minutes, and kills with patience."""
_DRAINING = "draining it with Quarterdeck"
_SETTLE = timedelta(seconds=1)
_SETTLES = 20
_ENDS = 180
"""So many looks at a job that was cancelled: KillWait is 30 s by default (slurm.conf), and an epilog comes after it."""
_RAN = re.compile(r"^srun: error: \S+: tasks? [\d,-]+: ", re.MULTILINE)
_ERROR = re.compile(r"^srun: error: (.+)$", re.MULTILINE)
_CUT_OFF = re.compile(
    r"^(?:srun: error: |srun: (?=Job step aborted|Force Terminated)|slurmstepd\S*: error: \*\*\* )(.+)$",
    re.MULTILINE,
)
"""What stands beside an exit that is not the command's own: srun exits 0 where the node fails under it (22.05.8)."""
_PARTITIONS = re.compile(r"\bPartitions=([^\s,]+)")


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
        """See `fleet.ports.CommandRunner.run`. What an earlier program left in the reservation is ended first.

        What can't be put back at the end is left to `clean_up`, so that what was found is not lost with it.
        """
        action, name = _check_of(step), expect_name(step.node.name)
        where = f"srun in reservation {PREFIX}{name}"
        there = await ask_reserved(self._commands, name)
        if there is not None and not there.of(action):
            why = f"it is reserved for a check of {there.whose}"
            return Ran(why=why, clears="the end of that check; see doctor", where=where, at=self._clock.now())
        if there is not None:
            await self._end_jobs(name)
            says = "what was left running there does not end"
            await self._until(step.node, lambda now: not now.busy, says, looks=_ENDS)
        seen = await self._see(step.node)
        if why := _unfit(seen, facts, reserved=there is not None):
            return Ran(why=why, clears=_DRAINING, where=where, at=self._clock.now())
        mine = there is not None
        try:
            if not mine:
                await self._commands.change(*reserve_argv(name, self._user, action), about=name)
                mine = True
            progress(
                Progress(step.id, step.node, f"{action.check}: in maintenance reservation {PREFIX}{name}")
            )
            seen = await self._until(
                step.node, lambda now: "MAINT" in now.flags, "its reservation does not show"
            )
            if why := _unfit(seen, facts, reserved=True):
                return Ran(why=why, clears=_DRAINING, where=where, at=self._clock.now())
            if seen.drain:
                await self._commands.change(
                    "scontrol", "update", f"NodeName={name}", "State=UNDRAIN", about=name
                )
            await self._answers(step.node)
            return await self._ran(await self._srun(name, action), action, where)
        finally:
            with suppress(FleetError):
                found = "" if seen.note.holds else seen.reason
                await asyncio.shield(self._put_back(step, found, mine=mine))

    async def _ran(self, argv: Sequence[str], action: Diagnose, where: str) -> Ran:
        """Run it once: what srun does not tell in time is told, and not asked for again."""
        deadline = action.starts_in + action.deadline + SLACK
        try:
            done = await self._commands.ask_long(*argv, deadline=deadline)
        except Unreachable as error:
            return Ran(why=str(error), where=where, at=self._clock.now())
        return _read(done, where, self._clock)

    async def clean_up(self, step: Step) -> None:
        """See `fleet.ports.CommandRunner.clean_up`. A reservation that is not this operation's is left as it is."""
        await self._put_back(step, "", mine=False)

    def leaves(self, step: Step) -> str:
        """See `fleet.ports.CommandRunner.leaves`."""
        name = step.node.name
        return f"maintenance reservation {PREFIX}{name}, in which it is not drained: {by_hand(name)}"

    async def _put_back(self, step: Step, found: str, *, mine: bool) -> None:
        """End its jobs, drain the node, and only then give the reservation up. Raises FleetError; it stays closed by either.

        `found` is the Reason of a node that none of our holds closed. With `mine` the node may be undrained by us also where the
        reservation is gone by now.
        """
        name, node = expect_name(step.node.name), step.node
        there = await ask_reserved(self._commands, name)
        ours = there is not None and there.of(_check_of(step))
        if not ours and not (mine and there is None):
            return
        if ours:
            await self._end_jobs(name)
        seen = await self._see(node)
        if not seen.drain:
            again = _closed_again(seen, found, _check_of(step), self._clock.now())
            await self._commands.change(*again.argv(), about=name)
        await self._until(node, lambda now: now.drain and not now.busy, "it is not drained and idle again")
        if ours:
            await self._give_up(node)

    async def _give_up(self, node: NodeKey) -> None:
        try:
            await self._commands.change(
                "scontrol", "delete", f"ReservationName={PREFIX}{node.name}", about=node.name
            )
        except Missing:
            return
        await self._until(node, lambda now: "MAINT" not in now.flags, "its reservation does not go away")

    async def _until(
        self, node: NodeKey, holds: Callable[[Seen], bool], says: str, *, looks: int = _SETTLES
    ) -> Seen:
        """The node once it is as `holds` says. Raises Conflict after so many looks."""
        seen = await self._see(node)
        for _ in range(looks):
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
            f"--time={max(1, -(-action.deadline // timedelta(minutes=1)))}",  # never less than it may take
            f"--immediate={max(1, round(action.starts_in.total_seconds()))}",
            # Nothing else of the operator's environment: a token in it could end in what the check prints, and so in the journal.
            *("--export=PATH,LANG", "--chdir=/", "--kill-on-bad-exit=1", "--", *action.command),
        )


def _check_of(step: Step) -> Diagnose:
    assert isinstance(step.action, Diagnose), "only an active check is run"
    return step.action


def _closed_again(seen: Seen, found: str, action: Diagnose, now: datetime) -> Change:
    """DRAIN for whoever holds it, else as it was `found`; else under a hold of its own, which a gate or an uncordon lifts."""
    if seen.note.holds or found:
        return drain_again(seen, found)
    says = (
        f"closed before a check of {action.operation}, and nobody's hold is left on it: gate or uncordon it"
    )
    return close(seen, Close(Hold(action.by, says, verb=Verb.GATE.value, since=now)))


def _unfit(seen: Seen, facts: NodeFacts, *, reserved: bool) -> str:
    """Why nothing may be run on the node as it is; empty where it may. `reserved`: by an earlier run of this very kind."""
    # What Slurm had there is ended by now; a pod is the other side's of a machine of two sources.
    held = [item for item in facts.placements if not item.finished and (item.namespace or not reserved)]
    if held:
        return f"work is on it: {', '.join(clean(item.name, 60) for item in held[:3])}"
    if seen.base != "IDLE" or seen.rebooting or seen.power_moves or not seen.responds:
        return f"it is {seen.state}, not idle and drained"
    if "MAINT" in seen.flags and not reserved:
        return "it is in somebody else's maintenance reservation, whose jobs would land on it undrained"
    if seen.held_by_reason:
        return f"somebody else's Reason stands on it, which undraining would erase: {clean(seen.reason, 120)}"
    return "" if seen.drain or reserved else f"it is {seen.state}, not drained"


def _read(done: Completed, where: str, clock: Clock) -> Ran:
    """What srun's end says of the command's. One that Slurm never started, or cut off, has no exit of its own."""
    output = "".join(
        line for line in done.err.splitlines(keepends=True) if not line.startswith(("srun:", "slurmstepd"))
    )
    text = f"{output}{done.out}"
    cut = len(text) > OUTPUT_LIMIT
    why = ""
    if done.rc and _RAN.search(done.err) is None:
        errors = _ERROR.findall(done.err)
        why = f"Slurm did not run it: {errors[-1] if errors else f'srun exited with {done.rc}'}"
    elif not done.rc and (cut_off := _CUT_OFF.search(done.err)):
        why = f"Slurm cut it off: {cut_off[1]}"
    if why:
        return Ran(text[-OUTPUT_LIMIT:], None, clock.now(), where, cut, clean(why, 220))
    return Ran(text[:OUTPUT_LIMIT], done.rc, clock.now(), where, cut)
