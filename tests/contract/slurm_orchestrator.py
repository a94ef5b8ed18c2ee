"""A real Slurm under the contract that every orchestrator keeps. What only Kubernetes has is skipped, saying so.

Slurm's own suite is `test_slurm_verbs`: jobs, reboots, daemons that die, answers that are lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from backends.slurm.actions import SlurmWriter
from backends.slurm.commands import SlurmCommands
from backends.slurm.reader import SlurmReader
from fleet.node import NodeKey
from tests.contract.orchestrator import Json, Orchestrator
from tests.contract.real_clock import RealClock
from tests.slurm_lab import SlurmLab, slurm_lab


@dataclass(slots=True)
class SlurmOrchestrator(Orchestrator):
    """Drives one lab. Each node asked for is one that no test had before."""

    lab: SlurmLab | None = None
    _given: int = 0

    @property
    def source(self) -> str:
        return cast("SlurmReader", self.reader).source

    async def node(
        self, *, image: str = "v1", taints: tuple[Json, ...] = (), wait: bool = True, **labels: str
    ) -> NodeKey:
        assert self.lab is not None
        if taints or labels or image != "v1":
            only_kubernetes("taints and labels")
        self._given += 1
        return NodeKey(self.source, self.lab.nodes[self._given - 1])

    async def get(self, path: str, query: tuple[tuple[str, str], ...] = ()) -> Json:
        only_kubernetes(f"objects like {path}")

    async def patch_node(self, key: NodeKey, patch: Json) -> None:
        only_kubernetes("patches")

    async def make(self, path: str, manifest: Json) -> Json:
        only_kubernetes(f"objects like {path}")


def only_kubernetes(what: str) -> NoReturn:
    pytest.skip(f"Slurm has no {what}")


@contextmanager
def slurm(folder: Path) -> Iterator[SlurmOrchestrator]:
    """A small cluster of the test's own."""
    with slurm_lab(folder, 2) as lab:
        clock = RealClock()
        commands = SlurmCommands(clock, lab.environ, deadline=timedelta(seconds=15))
        reader = SlurmReader(commands, clock, source=lab.cluster)
        writer = SlurmWriter(commands, reader.seen, reader, clock)
        api: Any = None
        yield SlurmOrchestrator(api, cast("Any", reader), cast("Any", writer), clock, lab=lab)
