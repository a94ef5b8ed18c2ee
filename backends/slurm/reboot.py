"""The imager `slurm_reboot`: has Slurm run its RebootProgram on a drained node, and waits for the node's own word.

Never with ASAP or nextstate, which open the node as soon as it registers: without them DRAIN outlives the boot (22.05.8), and is
read back. Slurm's RebootProgram gets no argument, so the image wanted is written in our note, and given to a command of the
site's where one is configured, before the reboot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from backends.slurm.closing import Change, lost_reason, reason_again, shut_again, want_image
from backends.slurm.closing import mark as marked
from backends.slurm.editing import NodeEditor
from backends.slurm.our_note import REASON_PREFIX
from backends.slurm.seen import REBOOT_REQUESTED, Seen, expect_to_stay
from backends.slurm.together import SharedReads
from fleet.alone import expect_alone
from fleet.category import SLURM_REBOOT
from fleet.errors import Blocked, Conflict, Denied, FleetError, Missing, Rejected, TimedOut
from fleet.health import same_boot
from fleet.node import Readiness, Stage
from fleet.operation import Effect, Outcome, Progress, StepState, Waiting
from fleet.plan import AwaitBoot, Mark, NodeFacts, PutImage, Step
from fleet.ports import Clock
from fleet.text import clean

PAUSES = (1.0, 1.0, 2.0, 2.0, 5.0)
"""Seconds between looks, the last one from then on."""
LOST_AFTER = 3
"""So many looks in a row at a node that neither reboots nor has booted mean that its reboot was called off."""


@dataclass(frozen=True, slots=True)
class Rebooting:
    """Reboots nodes. `set_image` is the site's command with `{node}` and `{image}` in it; empty: there is none."""

    editor: NodeEditor
    reads: SharedReads
    clock: Clock
    set_image: Sequence[str] = ()

    async def put_image(self, step: Step, action: PutImage, report: Callable[[Progress], None]) -> Outcome:
        """Ask for the reboot of a node that is drained and ours, once: one that has booted since is not rebooted again.

        Returns once Slurm has taken it up.

        Raises Rejected for another imager, Conflict where the node is not drained or not held by this operation.
        """
        name = step.node.name
        if action.imager != SLURM_REBOOT:
            raise Rejected(f"the imager {action.imager} is none of Slurm's", about=name)
        seen = await self._see_registered(name)
        if self._under_way(seen, action):
            return Outcome(step.id, step.node, StepState.SKIPPED, f"its reboot is under way ({seen.state})")
        if self._booted_for_us(seen, step, action):
            return Outcome(step.id, step.node, StepState.SKIPPED, f"it has booted since ({seen.state})")
        self._expect_ready(seen, action)
        await self.editor.change(step, lambda now: want_image(now, action.image, action.hold.operation))
        if self.set_image:
            report(Progress(step.id, step.node, f"choosing {action.image} for its next boot"))
            argv = [part.replace("{node}", name).replace("{image}", action.image) for part in self.set_image]
            await self.editor.command(*argv, about=name)
        seen = await self.editor.see(name)
        expect_alone(step, seen.note.held())
        self._expect_ready(seen, action)
        report(Progress(step.id, step.node, f"asking Slurm to {'wake' if seen.asleep else 'reboot'} it"))
        await self.editor.command(*boot_argv(seen, action), about=name)
        now = await self.editor.see(name)
        if not now.drain:
            raise Conflict(
                f"its DRAIN is gone ({now.state}): somebody else rebooted or opened it", about=name
            )
        what = "woken" if seen.asleep else "reboot asked for"
        return Outcome(step.id, step.node, StepState.DONE, f"{what} ({now.state})", now.reason)

    async def effect(self, step: Step, action: PutImage) -> Effect:
        """Whether the reboot was taken up: it is under way, gave up, or has brought another boot."""
        seen = await self.editor.see(step.node.name)
        if self._took(seen, step, action):
            return Effect.TOOK
        await self.clock.sleep(timedelta(seconds=PAUSES[0]))  # what timed out may be done a moment later
        seen = await self.editor.see(step.node.name)
        if self._took(seen, step, action):
            return Effect.TOOK
        return Effect.NOT if seen.boot else Effect.UNKNOWN

    async def await_boot(self, step: Step, action: AwaitBoot, report: Callable[[Progress], None]) -> Outcome:
        """Return once the node itself shows another boot, the image, and a DRAIN that outlived it.

        Raises TimedOut at the deadline, and where Slurm gave the reboot up; Conflict where it was called off or opened.
        """
        watch = _Watch(step, action)
        began = self.clock.monotonic()
        while True:
            try:
                facts = await self.reads.facts(step.node, work=False)
                seen = await self.editor.see(step.node.name)
                await self._keep_closed(step, seen)
                if lost_reason(seen):
                    await self.editor.change(step, reason_again)
                waiting = watch.look(seen, facts)
            except (Denied, Blocked, Conflict, Rejected, TimedOut, Missing):
                raise
            except FleetError as error:
                waiting = (Waiting(step.node.name, f"a look at it: {error}"),)
            else:
                if not waiting:
                    await self._reached_the_gate(step)
                    says = f"booted {action.image}, still closed ({seen.state})"
                    return Outcome(step.id, step.node, StepState.DONE, says, f"BootTime {seen.boot}")
            passed = self.clock.monotonic() - began
            if passed >= action.deadline.total_seconds():
                wants = "; ".join(wait.on for wait in waiting)
                raise TimedOut(f"not booted after {passed:.0f} s: it lacks {wants}", about=step.node.name)
            report(Progress(step.id, step.node, f"booting for {passed:.0f} s", waiting))
            left = action.deadline.total_seconds() - passed
            pause = PAUSES[min(watch.looks, len(PAUSES) - 1)]
            await self.clock.sleep(timedelta(seconds=min(left, pause)))

    async def _see_registered(self, name: str) -> Seen:
        """The node with its boot known: after a RESUME Slurm forgets it until the node registers again, within seconds."""
        seen = await self.editor.see(name)
        for pause in PAUSES:
            if (seen.boot and seen.responds) or seen.rebooting or seen.down or seen.asleep:
                break
            await self.clock.sleep(timedelta(seconds=pause))
            seen = await self.editor.see(name)
        return seen

    async def _keep_closed(self, step: Step, seen: Seen) -> None:
        """Where Slurm gave the reboot up it took DRAIN away: set it again, so that a late return opens nothing."""
        if not seen.gave_up_reboot:
            return
        if not seen.drain:
            await self.editor.change(step, shut_again)
        if _booted_since(seen, step):
            return  # it came back late, and waits DOWN to be judged
        says = "Slurm gave its reboot up after ResumeTimeout; closed again, so that it stays closed if it comes back"
        raise TimedOut(f"{says}: {clean(seen.reason, 120)}", about=step.node.name)

    async def _reached_the_gate(self, step: Step) -> None:
        """Write that a node which has booted behind the gate is now gated."""

        def edit(seen: Seen) -> Change:
            note = seen.note
            if note.gated and note.known_stage in (Stage.REIMAGING, Stage.PROVISIONING):
                return marked(seen, Mark(Stage.GATED))
            return Change(seen, note, already="as it was")

        await self.editor.change(step, edit)

    @staticmethod
    def _expect_ready(seen: Seen, action: PutImage) -> None:
        if seen.note.of(action.hold.operation) is None:
            raise Conflict("our hold is not on it any more: it is not rebooted", about=seen.name)
        if not seen.drain:
            raise Conflict(f"it is not drained ({seen.state}): it is not rebooted", about=seen.name)
        expect_to_stay(seen)
        if seen.busy:
            raise Conflict(f"work is on it still ({seen.state}): it is not rebooted", about=seen.name)
        if seen.power_moves:
            raise Conflict(
                f"it goes to sleep, or wakes ({seen.state}): try again once it has", about=seen.name
            )
        if not seen.asleep and not (seen.responds and seen.boot):
            raise Conflict(
                f"its slurmd does not answer ({seen.state}): it can't be rebooted", about=seen.name
            )
        if seen.rebooting:
            raise Conflict(f"somebody else's reboot is under way ({seen.state})", about=seen.name)

    @staticmethod
    def _asked(seen: Seen, action: PutImage) -> bool:
        """Whether this operation holds it and wrote that it wants this image: an earlier reimage's note counts for nothing."""
        note, operation = seen.note, action.hold.operation
        return note.of(operation) is not None and (note.image, note.wanted_by) == (action.image, operation)

    def _under_way(self, seen: Seen, action: PutImage) -> bool:
        """Whether a reboot that we asked for is under way."""
        return (seen.rebooting or seen.waking) and self._asked(seen, action)

    def _booted_for_us(self, seen: Seen, step: Step, action: PutImage) -> bool:
        """Whether it has booted since we asked, whatever image it shows yet: features come later than the boot."""
        return self._asked(seen, action) and _booted_since(seen, step)

    def _took(self, seen: Seen, step: Step, action: PutImage) -> bool:
        gave_up = self._asked(seen, action) and seen.gave_up_reboot
        return self._under_way(seen, action) or self._booted_for_us(seen, step, action) or gave_up


@dataclass(slots=True)
class _Watch:
    """What one boot still lacks, over several looks."""

    step: Step
    action: AwaitBoot
    looks: int = 0
    quiet: int = field(default=0)

    def look(self, seen: Seen, facts: NodeFacts | None) -> tuple[Waiting, ...]:
        """What the node does not show yet, each in words; nothing where it has booted. Raises Conflict."""
        self.looks += 1
        name, wants = self.step.node.name, []
        if seen.rebooting:
            self.quiet = 0
            asked = REBOOT_REQUESTED in seen.flags
            return (Waiting(name, "its reboot: " + ("Slurm has yet to issue it" if asked else "issued")),)
        if seen.waking:
            self.quiet = 0
            return (Waiting(name, f"its waking: it is {seen.state}"),)
        if not _booted_since(seen, self.step):
            self._expect_a_boot(seen)
            wants.append("another boot than the one recorded")
        if facts is None or facts.node.readiness is not Readiness.READY:
            wants.append(f"an answering slurmd: it is {seen.state}")
        image = facts.node.image.running if facts is not None else None
        if image != self.action.image:
            wants.append(f"the image {self.action.image}: it shows {image or 'none'}")
        if not wants and not seen.drain:
            raise Conflict(f"it came back open ({seen.state}): somebody took its DRAIN away", about=name)
        return tuple(Waiting(name, want) for want in wants)

    def _expect_a_boot(self, seen: Seen) -> None:
        """A node that answers from the boot recorded, with no reboot under way, was never rebooted, or called off."""
        self.quiet = self.quiet + 1 if seen.boot and seen.responds else 0
        if self.quiet >= LOST_AFTER:
            says = f"its reboot was lost or called off: same boot, no reboot under way ({seen.state})"
            raise Conflict(says, about=seen.name)


def _booted_since(seen: Seen, step: Step) -> bool:
    """Whether it shows another boot than the one that its reboot was asked in; never where none is recorded."""
    return _another(seen.boot, seen.note.boot or step.before.boot_id)


def _another(boot: str, recorded: str) -> bool:
    return bool(boot and recorded) and not same_boot(boot, recorded)


def boot_argv(seen: Seen, action: PutImage) -> tuple[str, ...]:
    """The command. Somebody else's Reason is kept by giving none: Slurm then adds to theirs.

    A node that sleeps is woken, which boots it: Slurm drops a reboot of it without a word (22.05.8).
    """
    if seen.asleep:
        return ("scontrol", "update", f"NodeName={seen.name}", "State=POWER_UP")
    if seen.held_by_reason:
        return ("scontrol", "reboot", seen.name)
    reason = clean(
        f"{REASON_PREFIX}reimage to {action.image} ({action.hold.by}, {action.hold.operation})", 240
    )
    return ("scontrol", "reboot", f"reason={reason}", seen.name)
