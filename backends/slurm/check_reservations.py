"""The maintenance reservation that a check runs in: of one name for each node, so that Slurm lets only one check at a time have it.

Whose it is stands in its burst buffer, as a lock's does: a reservation has no comment in 22.05. One that names nobody, or somebody
else, is never used and never taken away.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from backends.slurm.commands import SlurmCommands
from backends.slurm.locks import safe
from fleet.diagnosis import Diagnose
from fleet.errors import Missing
from fleet.remark import Remark
from fleet.text import clean

PREFIX = "quarterdeck_check-"
"""How the name of a check's reservation begins; the node's name follows. No lock's begins so, whatever its node is called."""

_SHOWN = re.compile(rf"^ReservationName={PREFIX}(\S+) StartTime=(\S+) (.*)$", re.MULTILINE)
_SIGNED = re.compile(r" BurstBuffer=quarterdeck:([^/\s]+)/(\S+)")


@dataclass(frozen=True, slots=True)
class Reserved:
    """A check's reservation as Slurm shows it. `operation` and `by` are empty where nobody signed it."""

    node: str
    since: str
    operation: str = ""
    by: str = ""

    def of(self, action: Diagnose) -> bool:
        """Whether the check's own operation made it."""
        return self.operation == safe(action.operation)

    @property
    def whose(self) -> str:
        return (
            f"operation {self.operation} by {self.by}" if self.operation else "somebody who did not sign it"
        )


def reserve_argv(name: str, user: str, action: Diagnose) -> Sequence[str]:
    """Reserve the node for this check's operation, for maintenance and without an end; Slurm refuses a second of the name."""
    return (
        *("scontrol", "create", "reservation", f"ReservationName={PREFIX}{name}", "StartTime=now"),
        *("Duration=UNLIMITED", f"Users={user}", "Flags=MAINT,IGNORE_JOBS", f"Nodes={name}"),
        f"BurstBuffer=quarterdeck:{safe(action.operation)}/{safe(action.by)}",
    )


async def ask_reserved(commands: SlurmCommands, name: str) -> Reserved | None:
    """The reservation for a check of this node; None where there is none. Raises FleetError where that can't be told."""
    try:
        shown = await commands.read("scontrol", "show", "reservation", f"{PREFIX}{name}", "-o", about=name)
    except Missing:
        return None
    return next((found for found in _read(shown) if found.node == name), None)


async def leftovers(commands: SlurmCommands, source: str) -> Sequence[Remark]:
    """Reservations of checks that are there now: none should outlive its operation. Raises FleetError."""
    found = _read(await commands.read("scontrol", "show", "reservation", "-o"))
    return tuple(_remark(f"{source} checks", each) for each in found)


def by_hand(name: str) -> str:
    """How a person takes the reservation away without opening the node."""
    drain = f'scontrol update NodeName={name} State=DRAIN Reason="check cut off"'
    return f"{drain}, then scontrol delete ReservationName={PREFIX}{name}"


def _remark(about: str, found: Reserved) -> Remark:
    name, since = clean(found.node, 120), clean(found.since, 40)
    says = (
        f"reservation {PREFIX}{name} keeps it closed for a check of {clean(found.whose, 200)} since {since}"
    )
    first = f"resume {clean(found.operation, 80)}; else " if found.operation else ""
    return Remark(about, None, says, f"{first}{by_hand(name)}")


def _read(text: str) -> Sequence[Reserved]:
    found = []
    for name, since, rest in _SHOWN.findall(text):
        signed = _SIGNED.search(f" {rest}")
        found.append(Reserved(name, since, *(signed.groups() if signed else ())))
    return found
