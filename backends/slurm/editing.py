"""Changes nodes, and reads back what became of it: Slurm has no compare-and-set, and changes a list of nodes one by one.

A change is worked out over the node as it is now, sent, and worked out again over the node as it is afterwards: nothing left to
do is the proof that it took. Something left means that somebody changed the node at the same moment: it is done again, and said.
Changes of many nodes that read the same go out as one command.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from backends.slurm.closing import Change
from backends.slurm.commands import SlurmCommands
from backends.slurm.seen import Seen
from backends.slurm.together import Together
from fleet.alone import expect_alone
from fleet.errors import Conflict, FleetError, Missing, OutcomeUnknown, Rejected
from fleet.operation import Outcome, StepState
from fleet.plan import Step
from fleet.ports import Clock

Look = Callable[[Sequence[str]], Awaitable[Mapping[str, Seen]]]
"""Nodes by name, read now and not from a cache; one that is not there is left out. Raises FleetError."""

TRIES = 4
SETTLE = timedelta(seconds=0.2)
"""Before a change is read back: longer than another operator's own read and write, so that one who wrote over ours is seen."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")


class NodeEditor:
    """Reads and changes the nodes of one cluster."""

    def __init__(self, commands: SlurmCommands, look: Look, clock: Clock) -> None:
        self._commands = commands
        self._look = look
        self._clock = clock
        self._no_extra = False
        self._looks: Together[str, Seen] = Together(self._look_at)
        self._changes: Together[Change, bool] = Together(self._send)

    async def see(self, name: str) -> Seen:
        """The node now. Raises Missing, Unreachable."""
        seen = await self._looks.ask(expect_name(name))
        return replace(seen, no_extra=True) if self._no_extra else seen

    async def change(self, step: Step, edit: Callable[[Seen], Change]) -> Outcome:
        """Make `edit` so, and see that it is.

        Raises Conflict where others keep changing it or began to take it away unseen, and what `edit` raises.
        """
        name, meddled, evidence = step.node.name, False, ""

        def alone(seen: Seen) -> Change:
            expect_alone(step, seen.note.held())
            return edit(seen)

        change = alone(await self.see(name))
        if not change.needed:
            return Outcome(step.id, step.node, StepState.SKIPPED, change.already)
        says = change.says
        for _ in range(TRIES):
            evidence = evidence or change.evidence
            refused = await self._try(change)
            now = await self._settled(name)
            change = self._again(alone, now)
            if not change.needed:
                told = f"{says}; somebody else changed it at the same time: look at it" if meddled else says
                return Outcome(step.id, step.node, StepState.DONE, told, evidence or now.state)
            if refused is None:
                meddled = True
            elif self._no_extra or not has_no(refused, "Extra"):
                raise _no_note(name) if has_no(refused, "Comment") else refused
            else:
                self._no_extra = True
                change = alone(replace(now, no_extra=True))
        raise Conflict(f"somebody else changed it under each of {TRIES} tries", about=name)

    async def command(self, *argv: str, about: str) -> str:
        """Any other changing command. Raises FleetError; OutcomeUnknown where its answer was lost."""
        return await self._commands.change(*argv, about=about)

    async def _try(self, change: Change) -> FleetError | None:
        """Send a change, with others or, where a list was refused, alone. A refusal is for the read-back to judge."""
        try:
            alone = await self._changes.ask(change)
            if not alone:
                await self._commands.change(*change.argv(), about=change.seen.name)
        except Rejected as error:
            return error  # `RESUME` of a node that somebody else has resumed reads as a wrong state
        return None

    async def _settled(self, name: str) -> Seen:
        await self._clock.sleep(SETTLE)
        try:
            return await self.see(name)
        except Missing:
            raise
        except FleetError as error:
            raise OutcomeUnknown(f"sent, and it can't be read back: {error}", about=name) from error

    @staticmethod
    def _again(edit: Callable[[Seen], Change], now: Seen) -> Change:
        try:
            return edit(now)
        except Conflict as error:
            says = f"somebody else changed it at the same time: {error.message}"
            raise Conflict(says, about=error.about) from error

    async def _look_at(self, names: Sequence[str]) -> Mapping[int, Seen | FleetError]:
        found = await self._look(tuple(dict.fromkeys(names)))
        return {
            place: found.get(name) or Missing("there is no such node", about=name)
            for place, name in enumerate(names)
        }

    async def _send(self, changes: Sequence[Change]) -> Mapping[int, bool | FleetError]:
        """One command for all that read the same. False for a change that must go alone: its list was refused.

        A list is not atomic: some of a refused one may be changed, which each finds out when it is read back.
        """
        told: dict[int, bool | FleetError] = {}
        alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, change in enumerate(changes):
            try:
                alike[change.argv()[3:]].append(place)
            except Rejected as error:
                told[place] = error
        for what, places in alike.items():
            names = [changes[place].seen.name for place in places]
            try:
                await self._commands.change(
                    "scontrol", "update", f"NodeName={','.join(names)}", *what, about=_about(names)
                )
            except (Missing, Rejected) as error:
                told |= dict.fromkeys(places, error if len(places) == 1 else False)
            except FleetError as error:
                told |= dict.fromkeys(places, error)
            else:
                told |= dict.fromkeys(places, True)
        return told


def has_no(refused: FleetError, field: str) -> bool:
    """Whether scontrol itself refused a node's Extra or Comment, as versions do that have none; it sent nothing then."""
    return f"not supported: {field}=" in refused.message


def _no_note(name: str) -> FleetError:
    says = "this Slurm has neither Extra nor Comment for a node, so that no hold can be kept on it: it can be looked at only"
    return Rejected(says, about=name)


def expect_name(name: str) -> str:
    """A node's name as Slurm's commands take exactly one. Raises Missing for what would name several, or none."""
    if not _NAME.match(name) or name.upper() == "ALL":
        raise Missing("no node of Slurm has such a name", about=name)
    return name


def _about(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} nodes ({names[0]} ...)"
