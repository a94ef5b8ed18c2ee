"""Takes an emptied node out of Slurm: DOWN, or deleted, as the site configured it; and says what slurm.conf still holds.

`scontrol delete` works on nodes of slurm.conf too, but those come back when the controller starts again (22.05.8), and a node that
is only DOWN is opened by whoever resumes it: either way the node must leave slurm.conf, which is a person's to edit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from backends.slurm.closing import retired
from backends.slurm.editing import NodeEditor
from backends.slurm.together import SharedReads
from fleet.alone import expect_alone
from fleet.errors import Conflict, Missing
from fleet.node import Stage
from fleet.operation import Effect, Outcome, StepState
from fleet.plan import Step
from fleet.verbs.drain import describe_job


class Retirement(Enum):
    """What becomes of a node that is retired."""

    DOWN = "down"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Retiring:
    """Removes nodes, by `how`."""

    editor: NodeEditor
    reads: SharedReads
    how: Retirement = Retirement.DOWN

    async def remove(self, step: Step) -> Outcome:
        """Take the node out. Raises Conflict while work is on it, or where nobody drained it."""
        name = step.node.name
        await self._expect_empty(step)
        if self.how is Retirement.DOWN:
            outcome = await self.editor.change(step, retired)
            told = f"{outcome.says}; slurm.conf still names it: whoever resumes it opens it, so take it out there too"
            return Outcome(step.id, step.node, outcome.state, told, outcome.evidence)
        try:
            await self.editor.command("scontrol", "delete", f"NodeName={name}", about=name)
        except Missing:
            return Outcome(step.id, step.node, StepState.SKIPPED, "already gone from the controller")
        says = "deleted from the controller; where slurm.conf names it, it comes back at the next restart: take it out there"
        return Outcome(step.id, step.node, StepState.DONE, says)

    async def effect(self, step: Step) -> Effect:
        """Whether the node is out."""
        try:
            seen = await self.editor.see(step.node.name)
        except Missing:
            return Effect.TOOK
        out = self.how is Retirement.DOWN and seen.down and seen.note.known_stage is Stage.RETIRED
        return Effect.TOOK if out else Effect.NOT

    async def _expect_empty(self, step: Step) -> None:
        """DOWN and delete only when no job is left, as a list read now shows, and the node takes none."""
        facts = await self.reads.facts(step.node)
        if facts is None:
            return
        if facts.placements:
            jobs = ", ".join(describe_job(job) for job in facts.placements[:3])
            raise Conflict(f"work is on it still: {jobs}", about=step.node.name)
        seen = await self.editor.see(step.node.name)
        expect_alone(step, seen.note.held())
        if not seen.closed:
            raise Conflict("somebody opened it: it is not retired", about=step.node.name)
