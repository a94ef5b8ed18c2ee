"""What each of Slurm's node states and flags means to the fleet: the one table, which docs/slurm.md shows.

Words are those of `scontrol show node` and of the JSON, 17.11 to 26.05, in upper case; sinfo's short words and suffixes are
read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from fleet.node import Admission, Readiness, Stage

CORDONED = Admission.CORDONED


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a state or a flag says. None: it says nothing of that. `busy_stage` is the stage while work is on the node."""

    says: str
    stage: Stage | None = None
    busy_stage: Stage | None = None
    admission: Admission | None = None
    readiness: Readiness | None = None
    bad: bool = False
    asleep: bool = False


def _open(says: str) -> Meaning:
    return Meaning(says, Stage.IN_SERVICE, None, Admission.OPEN, Readiness.READY)


STATES: Mapping[str, Meaning] = {
    "IDLE": _open("nothing runs on it"),
    "ALLOCATED": _open("all of it is given to jobs"),
    "MIXED": _open("part of it is given to jobs"),
    "DOWN": Meaning(
        "somebody, or the controller, set it down; it stays so until RESUME",
        Stage.IN_SERVICE,
        None,
        CORDONED,
        Readiness.READY,
    ),
    "ERROR": Meaning(
        "the controller found it in error", Stage.IN_SERVICE, None, CORDONED, Readiness.NOT_READY, bad=True
    ),
    "FUTURE": Meaning(
        "named in slurm.conf, not there yet", Stage.PROVISIONING, None, CORDONED, Readiness.UNKNOWN
    ),
    "UNKNOWN": Meaning(
        "the controller has just started and waits for word",
        Stage.IN_SERVICE,
        None,
        Admission.OPEN,
        Readiness.UNKNOWN,
    ),
}
"""Base states. A node has one."""

FLAGS: Mapping[str, Meaning] = {
    "COMPLETING": Meaning("a job is ending on it"),
    "PLANNED": Meaning("kept for a job that will start"),
    "BLOCKED": Meaning("kept free by a job that wants its whole block"),
    "RESERVED": Meaning("in a reservation: its users' jobs land"),
    "CLOUD": Meaning("made on demand in a cloud"),
    "DYNAMIC_NORM": Meaning("registered by itself (slurmd -Z)"),
    "DYNAMIC_FUTURE": Meaning("took the place of a FUTURE node (slurmd -F)"),
    "PERFCTRS": Meaning("its performance counters are in use"),
    "POWER_UP": Meaning("is to be woken"),
    "POWER_DOWN": Meaning("is to be powered down"),
    "POWER_DRAIN": Meaning("is to be powered down once it is idle", admission=CORDONED),
    "REBOOT_REQUESTED": Meaning("is to be rebooted once it is idle"),
    "REBOOT_CANCELED": Meaning("its reboot was called off"),
    "RESUME": Meaning("returns once it has rebooted"),
    "MAINT": Meaning("in a maintenance reservation", admission=CORDONED),
    "FAIL": Meaning("expected to fail: gets no new work", Stage.DRAINED, Stage.DRAINING, CORDONED, bad=True),
    "DRAIN": Meaning("gets no new work", Stage.DRAINED, Stage.DRAINING, CORDONED),
    "INVALID_REG": Meaning(
        "its slurmd registered with less than slurm.conf says", readiness=Readiness.NOT_READY, bad=True
    ),
    "NOT_RESPONDING": Meaning("its slurmd is not heard of", readiness=Readiness.UNKNOWN),
    "REBOOT_ISSUED": Meaning("reboots now", Stage.REIMAGING, Stage.REIMAGING, readiness=Readiness.UNKNOWN),
    "POWERING_UP": Meaning("wakes", readiness=Readiness.UNKNOWN, asleep=True),
    "POWERING_DOWN": Meaning("goes to sleep", readiness=Readiness.UNKNOWN, asleep=True),
    "POWERED_DOWN": Meaning(
        "sleeps: a job, or a verb, would wake it", readiness=Readiness.UNKNOWN, asleep=True
    ),
}
"""Flags, the later the heavier: of two that speak of the same, the later one is heard. Any other is shown and means nothing."""

SUFFIXES: Mapping[str, str] = {
    "*": "NOT_RESPONDING",
    "~": "POWERED_DOWN",
    "#": "POWERING_UP",
    "!": "POWER_DOWN",
    "%": "POWERING_DOWN",
    "$": "MAINT",
    "@": "REBOOT_REQUESTED",
    "^": "REBOOT_ISSUED",
    "-": "PLANNED",
}
"""What sinfo, and scontrol up to 20.11, put behind a state."""

_WORDS: Mapping[str, tuple[str, ...]] = {
    "ALLOC": ("ALLOCATED",),
    "MIX": ("MIXED",),
    "UNK": ("UNKNOWN",),
    "FUTR": ("FUTURE",),
    "ERR": ("ERROR",),
    "COMP": ("COMPLETING",),
    "PLND": ("PLANNED",),
    "BLOCK": ("BLOCKED",),
    "RESV": ("RESERVED",),
    "NPC": ("PERFCTRS",),
    "FAILG": ("FAIL", "ALLOCATED"),
    "FAILING": ("FAIL", "ALLOCATED"),
    "DRNG": ("DRAIN", "ALLOCATED"),
    "DRAINING": ("DRAIN", "ALLOCATED"),
    "DRAINED": ("DRAIN",),
    "BOOT": ("REBOOT_ISSUED",),
    "REBOOT": ("REBOOT_REQUESTED",),
    "REBOOT^": ("REBOOT_ISSUED",),
    "POWERING_UP": ("POWERING_UP",),
    "POW_UP": ("POWERING_UP",),
    "POW_DN": ("POWERING_DOWN",),
    "INVAL": ("INVALID_REG",),
    "INVALID": ("INVALID_REG",),
    "NO_RESPOND": ("NOT_RESPONDING",),
    "RES": ("RESERVED",),
    "MAINTENANCE": ("MAINT",),
    "DYNAMIC": ("DYNAMIC_NORM",),
}
_BUSY = frozenset({"ALLOCATED", "MIXED"})
_ORDER = {flag: place for place, flag in enumerate(FLAGS)}


@dataclass(frozen=True, slots=True)
class State:
    """A node's state: its base, its flags, and what they mean together."""

    base: str
    flags: frozenset[str]
    stage: Stage
    admission: Admission
    readiness: Readiness
    bad: bool
    asleep: bool

    @property
    def text(self) -> str:
        """As Slurm writes it: `IDLE+DRAIN`."""
        return "+".join((self.base, *sorted(self.flags)))

    @property
    def busy(self) -> bool:
        return self.base in _BUSY or "COMPLETING" in self.flags

    @property
    def moving(self) -> bool:
        """Whether it is on its way to another state, and soon there."""
        return not self.flags.isdisjoint(_MOVING) or ("REBOOT_REQUESTED" in self.flags and not self.busy)


_MOVING = frozenset({"REBOOT_ISSUED", "POWERING_UP", "POWERING_DOWN"})


@lru_cache(maxsize=4096)
def read_state(text: str) -> State:
    """The state in a text such as `IDLE+DRAIN`, `DOWN*+DRAIN`, `mixed+cloud`, `drng@`. Never fails."""
    base, flags = "", set[str]()
    for part in text[:400].upper().split("+"):
        for word in _words(part.strip()):
            if word in STATES and not base:
                base = word
            elif word not in STATES:
                flags.add(word)
    if not base:
        base = "IDLE" if flags & FLAGS.keys() else "UNKNOWN"
    return _weighed(base, frozenset(flags))


def _words(part: str) -> tuple[str, ...]:
    """The words in one part, suffixes taken off."""
    suffixes: list[str] = []
    while part and part[-1] in SUFFIXES and part not in _WORDS:
        suffixes.append(SUFFIXES[part[-1]])
        part = part[:-1]
    words = _WORDS.get(part, (part,) if part else ())
    return (*words, *suffixes)


def _weighed(base: str, flags: frozenset[str]) -> State:
    first = STATES[base]
    stage, admission, readiness = first.stage, first.admission, first.readiness
    bad, asleep = first.bad, False
    busy = base in _BUSY or "COMPLETING" in flags
    for flag in sorted(flags & FLAGS.keys(), key=_ORDER.__getitem__):
        means = FLAGS[flag]
        stage = (means.busy_stage if busy else means.stage) or stage
        admission, readiness = means.admission or admission, means.readiness or readiness
        bad, asleep = bad or means.bad, asleep or means.asleep
    if asleep and base != "ERROR":
        bad = False
    assert stage is not None, base
    assert admission is not None, base
    assert readiness is not None, base
    return State(base, flags, stage, admission, readiness, bad, asleep)


def table() -> str:
    """The table as docs/slurm.md has it, in Markdown. A dash says that the flag leaves that as it was."""
    lines = [
        "| state or flag | says | stage | admission | readiness |",
        "|---|---|---|---|---|",
    ]
    for name, means in (*STATES.items(), *((f"+{flag}", means) for flag, means in FLAGS.items())):
        stage = means.stage.value if means.stage else "-"
        if means.busy_stage and means.busy_stage is not means.stage:
            stage = f"{stage}; {means.busy_stage.value} while busy"
        admission = means.admission.value if means.admission else "-"
        readiness = means.readiness.value if means.readiness else "-"
        lines.append(f"| `{name}` | {means.says} | {stage} | {admission} | {readiness} |")
    return "\n".join(lines)
