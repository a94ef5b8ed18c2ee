"""What `doctor` says of a Slurm cluster: its version and slurm.conf, whether it can reboot, and who is let back in by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from backends.slurm.check_reservations import leftovers
from backends.slurm.commands import SlurmCommands
from backends.slurm.controller import ControllerConfig
from backends.slurm.locks import LASTS
from backends.slurm.reader import NO_LOCK, SlurmReader
from fleet.lock import Lock
from fleet.plan import Permission
from fleet.ports import Clock
from fleet.remark import KnownReleases, Release, Remark
from fleet.verb import Verb

KNOWN = KnownReleases("slurmctld", Release(17, 11), Release(26, 5), "whose outputs were tried", digits=2)
_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})")


async def examine(
    reader: SlurmReader, clock: Clock, commands: SlurmCommands | None = None
) -> Sequence[Remark]:
    """Every remark about one cluster. Raises FleetError."""
    config = await reader.config()
    may = (await reader.allowed([Verb.DRAIN]))[Verb.DRAIN] is Permission.ALLOWED
    locks = await reader.locks()
    left = await leftovers(commands, reader.source) if commands is not None else ()
    return (*_remarks(reader.source, config), *_of_locks(reader.source, locks, clock.now(), may=may), *left)


def of_version(source: str, version: str) -> Remark:
    """What is to be said of the controller's version: outputs of these releases were read, and 22.05 was driven."""
    found = _RELEASE.search(version)
    release = Release(int(found[1]), int(found[2])) if found else None
    return KNOWN.remark(source, version, release, "look at scontrol version")


def _remarks(source: str, config: ControllerConfig) -> Iterator[Remark]:
    yield of_version(source, config.version)
    if config.hash_differs:
        says = f"this machine's slurm.conf is not the controller's: {config.hash_differs}"
        yield Remark(f"{source} slurm.conf", False, says, "bring the controller's slurm.conf here")
    reboots = config.reboot_program
    yield Remark(
        f"{source} RebootProgram",
        True if reboots else None,
        reboots or "not set, so that the imager slurm_reboot can't reimage",
        "set RebootProgram in slurm.conf where nodes are reimaged by a reboot",
    )
    if reboots:
        yield Remark(f"{source} ResumeTimeout", True, config.resume_timeout or "unknown")
    if config.return_to_service.startswith("2"):
        says = "2: a DOWN node that registers is opened, a retired one too where its DRAIN was lifted"
        yield Remark(f"{source} ReturnToService", None, says, "set it to 0 or 1, or retire by delete")
    checks = config.health_check
    says = checks or "not set: no verdict of a health check comes with the Reason"
    yield Remark(f"{source} HealthCheckProgram", True if checks else None, says)


def _of_locks(source: str, locks: Mapping[str, Lock], now: datetime, *, may: bool) -> Iterator[Remark]:
    """Whether there are locks to be had, and which nodes an operation is at; of each whether its program keeps its lock up."""
    says = "one operation at a time works on a node: a reservation is its lock; cordons are read back"
    yield Remark(f"{source} lock", True if may else None, says if may else NO_LOCK)
    for name, lock in sorted(locks.items()):
        quiet = lock.until is not None and lock.until - now < LASTS / 2
        says = f"{lock}; nobody keeps it up" if quiet else str(lock)
        mend = "its program is gone or hangs: resume the operation where it ran, or let the lock lapse"
        yield Remark(f"{source} lock of {name}", None if quiet else True, says, mend if quiet else "")
