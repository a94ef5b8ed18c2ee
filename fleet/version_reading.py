"""Reads what telemetry tells of versions, for the nodes that are known: labels where the source has them, else rows of GPUs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fleet.drift import Versions
from fleet.joining import host_of
from fleet.node import NodeKey
from fleet.telemetry import GpuTelemetry
from fleet.telemetry_feed import TelemetryFeed

ReadVersions = Callable[[], Awaitable[Mapping[NodeKey, Versions]]]
"""Every node's versions, asked for now. Raises FleetError."""


@dataclass(frozen=True, slots=True)
class LabelledVersions:
    """Versions that a source tells by host, given to the nodes that its series join."""

    ask: Callable[[], Awaitable[Mapping[str, Versions]]]
    feed: TelemetryFeed
    known: Callable[[], Collection[NodeKey]]

    async def __call__(self) -> Mapping[NodeKey, Versions]:
        told = await self.ask()
        names = {key: host_of(self.feed.name_of(key)) for key in self.known()}
        return {key: told[name] for key, name in names.items() if name in told}


@dataclass(frozen=True, slots=True)
class RowVersions:
    """Versions from the rows of every node's GPUs: for sources that read whole pages anyway."""

    feed: TelemetryFeed
    known: Callable[[], Collection[NodeKey]]

    async def __call__(self) -> Mapping[NodeKey, Versions]:
        rows = await self.feed.by_gpu(tuple(self.known()))
        return {key: of_rows(gpus) for key, gpus in rows.items()}


def of_rows(gpus: Sequence[GpuTelemetry]) -> Versions:
    """What the GPUs of one node say together."""
    return Versions(driver=_said(gpu.driver for gpu in gpus), vbios=_said(gpu.vbios for gpu in gpus))


def _said(values: Iterable[str]) -> str:
    return " + ".join(sorted(set(values) - {""}))
