"""Opens one Slurm cluster: its reader, its writer and its feed, over one way of running commands."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from backends.slurm.actions import SlurmWriter
from backends.slurm.check_runs import SrunRunner
from backends.slurm.commands import SlurmCommands
from backends.slurm.controller import ask_config
from backends.slurm.features import NodeReading
from backends.slurm.feed import SlurmFeed
from backends.slurm.local_conf import cluster_of
from backends.slurm.locks import ReservationLocks
from backends.slurm.reader import SlurmReader
from backends.slurm.retiring import Retirement
from fleet.errors import Unreachable
from fleet.policy import Policy
from fleet.ports import Clock

SOON = 2.0
"""Seconds that a dashboard waits for the name of a cluster that it knows already."""


@dataclass(frozen=True, slots=True)
class SlurmSite:
    """How a site's Slurm is reached, read and driven. See `tui.settings.SlurmSettings`."""

    conf: Path | None = None
    category_patterns: Sequence[str] = ()
    image_patterns: Sequence[str] = ()
    set_image: Sequence[str] = ()
    retire: str = Retirement.DOWN.value
    health_checks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SlurmCluster:
    """A cluster's adapters. Its source is its ClusterName."""

    reader: SlurmReader
    writer: SlurmWriter
    feed: SlurmFeed
    locks: ReservationLocks
    checks: SrunRunner


async def open_cluster(
    site: SlurmSite,
    policy: Policy,
    clock: Clock,
    chance: Random,
    environ: Mapping[str, str],
    taken: Collection[str] = (),
    *,
    last_name: str = "",
) -> SlurmCluster:
    """The cluster whose scontrol is on the PATH. `taken` are names of other sources. Raises Unreachable, Garbled.

    `last_name` is what the cluster of this slurm.conf was called when it was last seen: with it, a controller that does not answer
    soon is no reason to show nothing. Nor is it where there are other sources: the cluster is then called as slurm.conf says.
    One that then says another name is not believed.
    """
    commands = SlurmCommands(clock, environ, site.conf)
    known = last_name or ("" if not taken else await asyncio.to_thread(cluster_of, commands.conf))
    name = await _name(commands, known)
    source = name if name not in taken else f"slurm-{name}"
    reading = NodeReading(policy, site.category_patterns, site.image_patterns, site.health_checks)
    reader = SlurmReader(commands, clock, source=source, reading=reading)
    writer = SlurmWriter(
        commands,
        reader.seen,
        reader,
        clock,
        set_image=site.set_image,
        retirement=Retirement(site.retire),
    )
    feed = SlurmFeed(commands, clock, chance, source=source, reading=reading, cluster=name)
    checks = SrunRunner(commands, reader.seen, clock, user=_user())
    return SlurmCluster(reader, writer, feed, ReservationLocks(commands, clock), checks)


def _user() -> str:
    """Whom a reservation of ours lets in: whoever runs this program, by number where they have no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


async def _name(commands: SlurmCommands, known: str) -> str:
    if not known:
        return (await ask_config(commands)).cluster
    try:
        async with asyncio.timeout(SOON):
            return (await ask_config(commands)).cluster
    except (Unreachable, TimeoutError):
        return known
