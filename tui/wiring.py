"""The one place that names backends: it gives each port its adapter, and owns the clock, the paths and the randomness.

Clients are imported in a thread, after the first frame, for they cost more than everything else together.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.dispatch import Dispatcher
from fleet.feeds import FeedHealth
from fleet.groups import GroupKey
from fleet.joining import join
from fleet.node import NodeKey
from fleet.policy import Policy
from fleet.ports import Clock, Feed, Reader, TelemetrySource, Writer
from fleet.store import FeedKey, FleetStore
from fleet.telemetry import GpuTelemetry
from tui.choice import Choice
from tui.deck import Deck
from tui.settings import BadSettings, Settings, state_folder
from tui.simulation_child import SimulationChild
from tui.simulation_child import start as start_simulation

if TYPE_CHECKING:
    from backends.journal_sqlite import SqliteJournal
    from backends.kubernetes.connection import Api

SIMULATED_CONTEXT = "simulated"


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


class CantServe(Exception):
    """A simulated fleet can't be served as it was asked for."""


@dataclass(slots=True)
class Sources:
    """The adapters of every source of a fleet, and what must be closed at the end."""

    readers: dict[str, Reader] = field(default_factory=dict)
    writers: dict[str, Writer] = field(default_factory=dict)
    feeds: list[Feed] = field(default_factory=list)
    feed_keys: list[FeedKey] = field(default_factory=list)
    telemetry: TelemetrySource | None = None
    closing: list[Callable[[], object]] = field(default_factory=list)


@contextlib.asynccontextmanager
async def serve_simulation(
    nodes: int, seed: int, speed: float, port: int, kubeconfig: Path
) -> AsyncIterator[Mapping[str, str]]:
    """A simulated fleet on loopback for as long as the block lasts: where its API, metrics and kubeconfig are.

    Raises CantServe where the port is taken or the kubeconfig is somebody else's.
    """
    from backends.simulated.kubeconfig_file import NotOurs
    from backends.simulated.serve import serve

    try:
        async with serve(
            SystemClock(), nodes=nodes, seed=seed, speed=speed, port=port, kubeconfig=kubeconfig
        ) as simulation:
            yield {
                "kubernetes": simulation.kubernetes_url,
                "metrics": simulation.metrics_url,
                "kubeconfig": str(kubeconfig),
                "targets": simulation.targets_url,
            }
    except (NotOurs, ValueError, OSError) as error:
        raise CantServe(str(error)) from error


def open_journal(choice: Choice, child: SimulationChild | None = None) -> SqliteJournal:
    """The journal of what is looked at. A simulated fleet has one of its own."""
    from backends.journal_sqlite import SqliteJournal

    if child is not None:
        return SqliteJournal(child.kubeconfig.with_name("journal.db"))
    simulated = SIMULATED_CONTEXT in choice.settings.kubernetes.contexts
    return SqliteJournal(state_folder() / ("journal-simulated.db" if simulated else "journal.db"))
