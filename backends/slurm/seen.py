"""One node as a change of it must know it: state and flags, whose Reason stands there, and our note beside others' texts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from backends.slurm.our_note import Note, Split, ours, split
from backends.slurm.stamps import stamp
from fleet.errors import Conflict
from fleet.holder import Hold

REBOOT_REQUESTED = "REBOOT_REQUESTED"
REBOOT_ISSUED = "REBOOT_ISSUED"
_REBOOTING = frozenset({REBOOT_REQUESTED, REBOOT_ISSUED})
_WAKING = frozenset({"POWER_UP", "POWERING_UP"})
_FALLING_ASLEEP = frozenset({"POWER_DOWN", "POWERING_DOWN"})
_BUSY = frozenset({"ALLOCATED", "MIXED", "ERROR"})
_CLOSING = frozenset({"DRAIN", "FAIL"})
GAVE_UP = ("reboot timed out", "ResumeTimeout reached")
"""What Slurm writes into the Reason of a node that did not come back, or did not wake, within ResumeTimeout."""

WAIT_FOR_BOOT = "wait until it is back"


@dataclass(frozen=True, slots=True)
class Seen:
    """A node, read fresh. `base` and `flags` in Slurm's upper-case words; `boot` is its BootTime in ISO, empty where None.

    `foreign` are the holds of others, as the reader tells them. `no_extra` says that this Slurm has no Extra. At `resumes`
    Slurm opens it by itself; `next_state` is what it makes of it after the reboot under way, in place of DRAIN.
    """

    name: str
    base: str
    flags: frozenset[str] = frozenset()
    reason: str = ""
    reason_by: str = ""
    reason_at: datetime | None = None
    extra: str = ""
    comment: str = ""
    boot: str = ""
    foreign: tuple[Hold, ...] = ()
    no_extra: bool = False
    resumes: datetime | None = None
    next_state: str = ""

    @property
    def state(self) -> str:
        """As Slurm writes it: `IDLE+DRAIN`."""
        return "+".join((self.base, *sorted(self.flags)))

    @property
    def drain(self) -> bool:
        return "DRAIN" in self.flags

    @property
    def down(self) -> bool:
        return self.base == "DOWN"

    @property
    def closed(self) -> bool:
        """Whether Slurm gives it no new work because somebody said so."""
        return self.down or not self.flags.isdisjoint(_CLOSING)

    @property
    def busy(self) -> bool:
        """Whether work is on it, that which is ending included."""
        return self.base in _BUSY or "COMPLETING" in self.flags

    @property
    def rebooting(self) -> bool:
        return not self.flags.isdisjoint(_REBOOTING)

    @property
    def responds(self) -> bool:
        return "NOT_RESPONDING" not in self.flags

    @property
    def waking(self) -> bool:
        return not self.flags.isdisjoint(_WAKING)

    @property
    def power_moves(self) -> bool:
        """Whether it goes to sleep, or wakes: it is left alone until it has."""
        return self.waking or not self.flags.isdisjoint(_FALLING_ASLEEP)

    @property
    def asleep(self) -> bool:
        """Whether Slurm powered it down, and nothing wakes it yet."""
        return "POWERED_DOWN" in self.flags and not self.waking

    @property
    def gave_up_reboot(self) -> bool:
        """Whether Slurm waited for its boot in vain. Slurm takes DRAIN away with that."""
        return self.down and not self.rebooting and any(text in self.reason for text in GAVE_UP)

    @property
    def reason_is_ours(self) -> bool:
        return ours(self.reason)

    @property
    def held_by_reason(self) -> bool:
        """Whether somebody else's Reason keeps it closed."""
        return self.closed and bool(self.reason) and not self.reason_is_ours

    @property
    def field(self) -> str:
        """Where our note stands or may be written: Extra, or Comment where there is none or it can't be written as it was."""
        if self.no_extra:
            return "Comment"
        if not split(self.extra).note.empty or _whole(self.extra):
            return "Extra"
        return "Comment"

    @property
    def written(self) -> Split:
        return split(self.extra if self.field == "Extra" else self.comment)

    @property
    def note(self) -> Note:
        return self.written.note


def expect_no_reboot(seen: Seen) -> None:
    """Raise Conflict where a reboot is under way: a change of state then would break it."""
    if seen.rebooting:
        raise Conflict(f"{_reboot(seen)}: its state is left alone", about=seen.name)


def expect_to_stay(seen: Seen) -> None:
    """Raise Conflict where Slurm ends its drain by itself, whoever else's hold is there by then.

    `scontrol reboot` with ASAP or nextstate does, whatever was there before (22.05.8), and so does ResumeAfter (newer).
    """
    if ends := ends_drain(seen):
        raise Conflict(": ".join(ends), about=seen.name)


def ends_drain(seen: Seen) -> tuple[str, str] | None:
    """How Slurm would end a drain of the node by itself, and how to go on; None where one would stay."""
    if seen.rebooting and seen.next_state:
        return (
            f"{_reboot(seen)}, at its end Slurm sets it to {seen.next_state}, under any hold",
            WAIT_FOR_BOOT,
        )
    if seen.closed and seen.resumes is not None:
        says = f"Slurm resumes it by itself at {stamp(seen.resumes)} (ResumeAfter), under any hold"
        return says, "resume it, then close it"
    return None


def not_to_close(seen: Seen) -> tuple[str, str] | None:
    """Why no hold of ours can be written on it now, and how to go on; None where one can."""
    if seen.rebooting and not seen.drain and not seen.next_state:
        return not_to_open(seen)
    return ends_drain(seen)


def not_to_open(seen: Seen) -> tuple[str, str] | None:
    """Why it can't be opened now, and how to go on; None where it can."""
    return (f"{_reboot(seen)}: its state is left alone", WAIT_FOR_BOOT) if seen.rebooting else None


def _reboot(seen: Seen) -> str:
    return f"a reboot is under way ({seen.state})"


def _whole(text: str) -> bool:
    """Whether a text was read as it stands: bytes that are no UTF-8 are not."""
    return "\ufffd" not in text
