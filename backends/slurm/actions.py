"""The writing half of the Slurm backend: every step of a plan, done to one cluster by `scontrol`, and read back.

Only the dispatcher is given this. Slurm has no compare-and-set: two operators at once are detected by reading back, and said, not
excluded. Steps of many nodes that are under way together go out as one command where they read the same (`editing`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from backends.slurm.closing import Change, apply_verdict, attest, close, mark, release
from backends.slurm.commands import SlurmCommands
from backends.slurm.editing import Look, NodeEditor, expect_name
from backends.slurm.effects import Effects
from backends.slurm.moving import Wait
from backends.slurm.reboot import Rebooting
from backends.slurm.retiring import Retirement, Retiring
from backends.slurm.seen import Seen
from backends.slurm.together import SharedReads
from fleet.errors import Missing, Rejected
from fleet.operation import Effect, Outcome, Progress
from fleet.plan import (
    ApplyVerdict,
    Attest,
    AwaitBoot,
    Check,
    Close,
    Create,
    Mark,
    MoveWork,
    PutImage,
    Release,
    Remove,
    Step,
)
from fleet.ports import Clock, Reader


class SlurmWriter:
    """`fleet.ports.Writer` for one cluster.

    `look` reads nodes fresh. `set_image` is the site's command that chooses the image of a node's next boot, with `{node}` and
    `{image}` in it; `retirement` what becomes of a retired node.
    """

    def __init__(
        self,
        commands: SlurmCommands,
        look: Look,
        reader: Reader,
        clock: Clock,
        *,
        set_image: Sequence[str] = (),
        retirement: Retirement = Retirement.DOWN,
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._editor = NodeEditor(commands, look, clock)
        self._reads = SharedReads(reader)
        self._rebooting = Rebooting(self._editor, self._reads, clock, tuple(set_image))
        self._retiring = Retiring(self._editor, self._reads, retirement)
        self._effects = Effects(self._editor, self._reads, clock, self._rebooting, self._retiring, _edit_of)

    @property
    def source(self) -> str:
        return self._reader.source

    async def prepare(self, step: Step) -> Step:
        """The step with the node's boot as it is now. Whose holds the operator was shown is kept, and what a cancel puts back.

        An AwaitBoot keeps what was recorded before the boot. Raises Missing, Rejected for a node that is to be made.
        """
        match step.action:
            case AwaitBoot():
                return step
            case Create():
                raise Rejected(CREATES_NOTHING, about=step.node.name)
        try:
            seen = await self._editor.see(step.node.name)
        except Missing:
            if isinstance(step.action, Remove):
                return step
            raise
        return replace(step, before=replace(step.before, boot_id=seen.boot or step.before.boot_id))

    async def perform(self, step: Step, progress: Callable[[Progress], None]) -> Outcome:
        """Do one step to its end. See `fleet.ports.Writer.perform` for what it raises."""
        expect_name(step.node.name)
        match step.action:
            case MoveWork() as action:
                wait = Wait(
                    step, action, editor=self._editor, reads=self._reads, clock=self._clock, report=progress
                )
                return await wait.run()
            case PutImage() as action:
                return await self._rebooting.put_image(step, action, progress)
            case AwaitBoot() as action:
                return await self._rebooting.await_boot(step, action, progress)
            case Remove():
                return await self._retiring.remove(step)
            case Create():
                raise Rejected(CREATES_NOTHING, about=step.node.name)
            case Check():
                raise Rejected(
                    "a check is the runner's: it comes here as the verdict it led to", about=step.id
                )
            case _:
                return await self._editor.change(step, _edit_of(step))

    async def effect_of(self, step: Step) -> Effect:
        """Whether a step whose outcome was lost took effect. Raises FleetError where the node can't be read."""
        return await self._effects.of(step)


CREATES_NOTHING = (
    "Slurm's nodes come from slurm.conf, or register by themselves (slurmd -Z): Quarterdeck makes none"
)


def _edit_of(step: Step) -> Callable[[Seen], Change]:
    match step.action:
        case Close() as action:
            return partial(close, action=action)
        case Release() as action:
            return partial(release, action=action)
        case ApplyVerdict() as action:
            return partial(apply_verdict, action=action)
        case Attest() as action:
            return partial(attest, action=action)
        case Mark() as action:
            return partial(mark, action=action)
        case action:
            raise Rejected(f"{type(action).__name__} is no change of a node", about=step.id)
