"""Whether a step whose outcome was lost took effect: told from the node as it is and as it was recorded, never guessed.

A change that timed out may be applied a moment later (seen with 22.05.8), so that "not yet" is looked at twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from backends.slurm.closing import Change
from backends.slurm.editing import NodeEditor
from backends.slurm.reboot import Rebooting
from backends.slurm.retiring import Retiring
from backends.slurm.seen import Seen
from backends.slurm.together import SharedReads
from fleet.errors import Conflict, Missing
from fleet.health import same_boot
from fleet.node import Readiness
from fleet.operation import Effect
from fleet.plan import AwaitBoot, Check, Create, MoveWork, PutImage, Remove, Step
from fleet.ports import Clock
from fleet.verbs.drain_filters import sort_placements

AGAIN = timedelta(seconds=1)
_TOLD = {True: Effect.TOOK, False: Effect.NOT}


@dataclass(frozen=True, slots=True)
class Effects:
    """Reads back what became of a step. `edit_of` gives the change that a step makes of a node."""

    editor: NodeEditor
    reads: SharedReads
    clock: Clock
    rebooting: Rebooting
    retiring: Retiring
    edit_of: Callable[[Step], Callable[[Seen], Change]]

    async def of(self, step: Step) -> Effect:
        """TOOK, NOT or UNKNOWN. Raises FleetError where the node can't be read."""
        match step.action:
            case Check() | Create():
                return Effect.NOT
            case MoveWork() as action:
                facts = await self.reads.facts(step.node)
                if facts is None:
                    return Effect.UNKNOWN
                return _TOLD[not sort_placements(facts.placements, action.options).must_go]
            case AwaitBoot() as action:
                return await self._booted(step, action)
            case PutImage() as action:
                return await self.rebooting.effect(step, action)
            case Remove():
                return await self.retiring.effect(step)
            case _:
                return await self._made(step)

    async def _made(self, step: Step) -> Effect:
        """A change took where nothing is left of it to do."""
        found = await self._nothing_left(step)
        if found is Effect.NOT:
            await self.clock.sleep(AGAIN)
            found = await self._nothing_left(step)
        return found

    async def _nothing_left(self, step: Step) -> Effect:
        try:
            seen = await self.editor.see(step.node.name)
        except Missing:
            return Effect.NOT
        try:
            return _TOLD[not self.edit_of(step)(seen).needed]
        except Conflict:
            return Effect.UNKNOWN

    async def _booted(self, step: Step, action: AwaitBoot) -> Effect:
        facts = await self.reads.facts(step.node, work=False)
        if facts is None:
            return Effect.NOT
        node, before = facts.node, step.before.boot_id
        booted = bool(node.boot_id and before) and not same_boot(node.boot_id, before)
        return _TOLD[booted and node.readiness is Readiness.READY and node.image.running == action.image]
