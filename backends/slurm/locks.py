"""The lock on a node: a reservation of its name, which is the one thing that Slurm lets only the first of two make.

It reserves no node and no core (ANY_NODES, and a burst buffer of no pool), so that no job is kept out, held up or ended by it, and
the node shows nothing of it; the burst buffer's name says whose it is. It ends by itself a few minutes after whoever took it is
gone. Flags and fields: `scontrol create reservation`, 16.05 and later; tried on 22.05.8.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from backends.slurm.commands import SlurmCommands
from backends.slurm.editing import expect_name
from backends.slurm.show import read_time
from fleet.errors import Conflict, Denied, FleetError, Missing, OutcomeUnknown, Rejected
from fleet.lock import Lock
from fleet.node import NodeKey
from fleet.ports import Clock
from fleet.text import clean

PREFIX = "quarterdeck-"
"""How the name of a reservation of ours begins; the node's name follows."""
LASTS = timedelta(minutes=5)
KEPT_UP = 5
"""So many times within its span a lock's end is put off, so that a controller that is away for a while ends none."""
_TRIES = 3
_SHOW = ("scontrol", "show", "reservation", "-o")
_SHOWN = re.compile(
    rf"^ReservationName={PREFIX}(\S+) StartTime=(\S+) EndTime=(\S+) .*? BurstBuffer=quarterdeck:(\S+)/(\S+)",
    re.MULTILINE,
)
_UNSAFE = re.compile(r"[^A-Za-z0-9_.@-]")
DETECTED = "a second operator at the same node is then detected, not excluded"


@dataclass(slots=True)
class _Taken:
    """A lock that we have, for as long as `keeping` keeps it up."""

    operation: str
    by: str
    renewed: float
    keeping: asyncio.Task[None] | None = None
    lost: str = ""


class ReservationLocks:
    """`fleet.lock.Locks` for one cluster. `lasts` is the span after which a lock lapses whose program is gone."""

    def __init__(self, commands: SlurmCommands, clock: Clock, *, lasts: timedelta = LASTS) -> None:
        self._commands = commands
        self._clock = clock
        self._lasts = lasts
        self._taken: dict[str, _Taken] = {}

    async def take(self, node: NodeKey, operation: str, by: str) -> str:
        """See `fleet.lock.Locks.take`."""
        name = expect_name(node.name)
        ours = self._taken.get(name)
        if ours is not None and ours.operation == safe(operation) and not ours.lost:
            return ""
        taken = _Taken(safe(operation), safe(by), self._clock.monotonic())
        try:
            await self._make(name, taken)
        except Denied as error:
            return f"Slurm does not let us take its lock ({error.message}): {DETECTED}"
        except Rejected as error:
            return f"Slurm refused its lock ({error.message}): {DETECTED}"
        self._taken[name] = taken
        taken.keeping = asyncio.create_task(self._keep_up(name, taken), name=f"lock of {name}")
        return ""

    def expect(self, node: NodeKey, operation: str) -> None:
        """See `fleet.lock.Locks.expect`."""
        taken = self._taken.get(node.name)
        if taken is not None and taken.operation == safe(operation) and taken.lost:
            raise Conflict(f"our lock lapsed, and {taken.lost}", about=node.name)

    async def give_back(self, node: NodeKey, operation: str) -> None:
        """See `fleet.lock.Locks.give_back`."""
        taken = self._taken.get(node.name)
        if taken is None or taken.operation != safe(operation):
            return
        del self._taken[node.name]
        if taken.keeping is not None:
            taken.keeping.cancel()
            await asyncio.gather(taken.keeping, return_exceptions=True)
        with suppress(FleetError):
            if not taken.lost and await self._still_ours(node.name, taken):
                await self._commands.change(
                    "scontrol", "delete", f"ReservationName={PREFIX}{node.name}", about=node.name
                )

    async def _make(self, name: str, taken: _Taken) -> None:
        """Make the reservation, or find that it is ours. Raises Conflict naming whose it is, Denied, Rejected."""
        for _ in range(_TRIES):
            try:
                await self._commands.change(*self._make_argv(name, taken), about=name)
            except (Conflict, OutcomeUnknown) as error:
                found = (await ask_locks(self._commands)).get(name)
                if found is None and isinstance(error, OutcomeUnknown):
                    raise
                if found is None:
                    continue  # given back meanwhile, or not to be seen
                if found.operation != taken.operation:
                    raise Conflict(str(found), about=name) from error
                with suppress(
                    Missing
                ):  # left by an earlier program of this operation, or made and not answered
                    await self._renew(name)
                    return
            else:
                return
        says = f"somebody has its lock ({PREFIX}{name}), and Slurm does not show us who"
        raise Conflict(says, about=name)

    async def _keep_up(self, name: str, taken: _Taken) -> None:
        """Put the lock's end off until it is given back, or lost to somebody else."""
        while not taken.lost:
            await self._clock.sleep(self._lasts / KEPT_UP)
            try:
                await self._renew_or_make(name, taken)
            except Conflict as error:
                taken.lost = error.message
            except FleetError:
                continue  # it lasts for several of these
            else:
                taken.renewed = self._clock.monotonic()

    async def _renew_or_make(self, name: str, taken: _Taken) -> None:
        """Looked at first: putting its end off does not tell whose it is. Raises Conflict where it is somebody else's."""
        found = (await ask_locks(self._commands)).get(name)
        if found is not None and found.operation != taken.operation:
            raise Conflict(str(found), about=name)
        try:
            await self._renew(name)
        except Missing:
            await self._make(name, taken)

    async def _renew(self, name: str) -> None:
        await self._commands.change(
            "scontrol", "update", f"ReservationName={PREFIX}{name}", self._end(), about=name
        )

    async def _still_ours(self, name: str, taken: _Taken) -> bool:
        """Whether the reservation of that name is the one we made: surely so for most of the span that it lasts."""
        if self._clock.monotonic() - taken.renewed < self._lasts.total_seconds() / 2:
            return True
        found = (await ask_locks(self._commands)).get(name)
        return found is not None and found.operation == taken.operation

    def _make_argv(self, name: str, taken: _Taken) -> tuple[str, ...]:
        return (
            *("scontrol", "create", "reservation", f"ReservationName={PREFIX}{name}"),
            *("StartTime=now", self._end(), "Users=root", "Flags=ANY_NODES"),
            f"BurstBuffer=quarterdeck:{taken.operation}/{taken.by}",
        )

    def _end(self) -> str:
        return f"EndTime=now+{self._lasts.total_seconds():.0f}seconds"


async def ask_locks(commands: SlurmCommands) -> Mapping[str, Lock]:
    """Every lock on a node of this cluster, by the node's name. Raises FleetError."""
    return read_locks(await commands.read(*_SHOW))


def read_locks(text: str) -> Mapping[str, Lock]:
    """The locks in what `scontrol show reservation -o` printed; other reservations are no locks."""
    return {
        name: Lock(clean(by, 80), clean(operation, 80), read_time(start), read_time(end))
        for name, start, end, operation, by in _SHOWN.findall(text)
    }


def safe(text: str) -> str:
    """A text as it can stand in a reservation's field."""
    return _UNSAFE.sub("_", text)[:80] or "unnamed"
