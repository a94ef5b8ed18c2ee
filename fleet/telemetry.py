"""GPU telemetry as facets of a node. Absent, blank, stale or refused is None: unknown is never zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

Samples = Sequence[tuple[datetime, float]]
"""A counter of one GPU over time, oldest first."""

Replays = Mapping[str, Samples]
"""The PCIe replay counters of a node's GPUs over time, by UUID (by number where they have none)."""

REPLAYS_OVER = timedelta(minutes=30)
"""Over which replays are judged: the time of the public alert rules."""


@dataclass(frozen=True, slots=True)
class NodeTelemetry:
    """One node's GPUs summed up.

    `gpu_util` percent, mean over GPUs; `gpu_util_min`, `gpu_util_max` percent; `gpu_temp_max` degrees Celsius;
    `temp_margin_min` degrees Celsius to the nearest slowdown threshold of any GPU; `fb_used_ratio` 0 to 1 of framebuffer used
    of all; `power_watts` summed; `gpus_seen` how many GPUs reported; `xid` the gravest last XID of any GPU (its age unknown
    unless `xid_at`), 0 when every GPU reports none; `xids` all of them, each with how many GPUs show it, at least;
    `idle_held` GPUs that a pod or job has held for `fleet.idle.IDLE_AFTER` without using them, named in `idle_holder`,
    None where no holder is told; `at` when it was sampled. The worst of any GPU:
    `remapped_rows` for errors that could not be corrected, `ecc_dbe` volatile, `recovery_action` as NVML numbers it, `slowed`
    where heat or a lack of power holds its clocks down.
    """

    at: datetime
    gpus_seen: int | None = None
    gpu_util: float | None = None
    gpu_util_min: float | None = None
    gpu_util_max: float | None = None
    gpu_temp_max: float | None = None
    temp_margin_min: float | None = None
    fb_used_ratio: float | None = None
    power_watts: float | None = None
    xid: int | None = None
    xid_at: datetime | None = None
    xids: tuple[tuple[int, int], ...] = ()
    row_remap_failure: bool | None = None
    remap_pending: bool | None = None
    remapped_rows: float | None = None
    ecc_dbe: float | None = None
    slowed: bool | None = None
    recovery_action: int | None = None
    idle_held: int | None = None
    idle_holder: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert of the site's that fires at a node. `severity` is the site's own word; `since` is None where unknown."""

    name: str
    severity: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class GpuTelemetry:
    """One GPU (or MIG instance) as its exporter shows it. None is what it did not tell.

    Units as in `NodeTelemetry`; clocks in MHz; memory in MiB; `sm_active`, `tensor_active` and `engine_active` 0 to 1;
    `temp_margin` degrees Celsius to the nearest slowdown threshold, `temp_slowdown` where that threshold is; counters since
    the driver was loaded (volatile) or for life (aggregate, remaps); `nvlink_bandwidth` bytes a second both ways together;
    `nvlink_errors` CRC, replay and recovery errors together; `clock_event_reasons` the bits of `fleet.clock_reasons`;
    `recovery_action` as NVML's nvmlDeviceGpuRecoveryAction_t, 0 being none.
    """

    gpu: str
    uuid: str = ""
    instance: str = ""  # MIG: GPU_I_ID, with the profile in `profile`
    profile: str = ""
    model: str = ""
    pci_bus_id: str = ""
    driver: str = ""
    vbios: str = ""
    util: float | None = None
    sm_active: float | None = None
    tensor_active: float | None = None
    engine_active: float | None = None
    temp: float | None = None
    temp_margin: float | None = None
    temp_slowdown: float | None = None
    memory_temp: float | None = None
    power_watts: float | None = None
    fb_used_mib: float | None = None
    fb_total_mib: float | None = None
    sm_clock: float | None = None
    memory_clock: float | None = None
    clock_event_reasons: int | None = None
    xid: int | None = None
    xid_at: datetime | None = None  # None: its age is unknown
    ecc_sbe_volatile: float | None = None
    ecc_dbe_volatile: float | None = None
    ecc_sbe_aggregate: float | None = None
    ecc_dbe_aggregate: float | None = None
    remapped_correctable: float | None = None
    remapped_uncorrectable: float | None = None
    row_remap_failure: bool | None = None
    remap_pending: bool | None = None
    retired_pending: float | None = None
    nvlink_bandwidth: float | None = None
    nvlink_errors: float | None = None
    nvlinks_up: int | None = None
    nvlinks_down: int | None = None
    pcie_gen: int | None = None
    pcie_width: int | None = None
    pcie_gen_max: int | None = None
    pcie_width_max: int | None = None
    pcie_replays: float | None = None
    recovery_action: int | None = None
    persistence: bool | None = None
    held_by: str = ""  # namespace/pod, or the job, that has the device
    at: datetime | None = None  # when it was sampled; None where its source can't tell
