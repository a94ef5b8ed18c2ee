"""Since when GPUs show the XIDs that they show, by a source without a past: what turned between two readings turned just now.

An exporter's last XID has no time of its own. A GPU that showed another code, or 0, in the reading before this one turned at
or after it, so its XID dates from the first reading that has it. What the first reading had already has no age, nor has
what follows a gap, in which the exporter may have started anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from fleet.telemetry import GpuTelemetry

BRIDGED = timedelta(minutes=3)
"""Readings further apart than this are none of one row."""

Rows = Mapping[str, Sequence[GpuTelemetry]]


def dated(before: Rows, after: Rows, now: datetime) -> Rows:
    """The rows of a reading made `now`, by host, each XID with since when it shows, as far as the reading before it can tell.

    `before` are the rows that this gave then, none where that reading failed or is too old. A GPU that told no code then, not even
    0, has none to turn from.
    """
    return {
        host: _of_host(before.get(host, ()), gpus, now) if any(gpu.xid for gpu in gpus) else gpus
        for host, gpus in after.items()
    }


def _of_host(
    before: Sequence[GpuTelemetry], after: Sequence[GpuTelemetry], now: datetime
) -> Sequence[GpuTelemetry]:
    showed = {_device(gpu): (gpu.xid, gpu.xid_at) for gpu in before if gpu.xid is not None}
    return tuple(_dated(gpu, showed.get(_device(gpu)), now) for gpu in after)


def _dated(
    gpu: GpuTelemetry, showed: tuple[int | None, datetime | None] | None, now: datetime
) -> GpuTelemetry:
    if not gpu.xid or showed is None:
        return gpu
    code, since = showed
    return replace(gpu, xid_at=since if code == gpu.xid else now)


def _device(gpu: GpuTelemetry) -> tuple[str, str]:
    return gpu.uuid or gpu.gpu, gpu.instance
