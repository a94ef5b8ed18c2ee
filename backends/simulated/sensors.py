"""What a GPU's sensors read at a moment: utilisation from its pod, heat and power from utilisation, all wandering slowly.

Readings are computed when somebody asks, never before: a fleet nobody looks at costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from backends.simulated.chance import drift, fraction
from backends.simulated.faults import FaultKind
from backends.simulated.machines import Machine

NOT_SUPPORTED = 9223372036854775794  # DCGM_INT64_NOT_SUPPORTED of dcgm_structs.h
_HOT_CELSIUS = 93.0
_BASE_CLOCK = 345
_IDLE, _HW_SLOWDOWN, _HW_THERMAL = 0x1, 0x8, 0x40  # DCGM_CLOCKS_EVENT_REASON_*
_RESET = 1  # NVML_GPU_RECOVERY_ACTION_GPU_RESET


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One GPU at one moment, in the units of dcgm-exporter's HELP texts. Profiling values are 0 to 1."""

    util: int
    memory_util: int
    celsius: int
    memory_celsius: int
    watts: float
    energy_mj: int
    sm_clock: int
    memory_clock: int
    free_mib: int
    used_mib: int
    reserved_mib: int
    pcie_replays: int
    nvlink_mb: int
    remapped_uncorrectable: int
    remapped_correctable: int
    row_remap_failure: int
    engine_active: float
    tensor_active: float
    memory_active: float
    pcie_sent: int
    pcie_received: int
    sm_active: float
    slowdown_celsius: int
    margin_celsius: int
    clock_reasons: int
    ecc_corrected: int
    ecc_corrected_ever: int
    ecc_uncorrected: int
    ecc_uncorrected_ever: int
    remap_pending: int
    nvlink_sent: int
    nvlink_received: int
    nvlink_replays: int
    pcie_gen: int
    pcie_width: int
    recovery_action: int


def read_gpu(machine: Machine, gpu: int, at: float) -> GpuReading:
    """The reading of one GPU at `at` simulated seconds. The same question has the same answer."""
    model, holder, key = machine.category.model, machine.holders[gpu], (machine.name, gpu)
    seed = machine.seed
    busy = holder.busy if holder else 0.0
    load = _within(busy * (1.0 + 0.08 * drift(seed, at, "load", *key, period=240.0)), 0.0, 1.0)
    hot = machine.has(FaultKind.HOT_GPU, gpu)
    celsius = _celsius(machine, gpu, load, at, hot=hot)
    used = 0.0
    if holder:
        used = (0.35 + 0.55 * busy) * model.memory_mib * (1.0 + 0.01 * drift(seed, at, "memory", *key))
    usable = model.memory_mib - model.reserved_mib
    counted = machine.counted(gpu, at)
    watts = machine.mean_watts(gpu) * (1.0 + 0.05 * drift(seed, at, "watts", *key, period=180.0))
    broken_rows = sum(
        fault.gpu == gpu and fault.kind in (FaultKind.ECC, FaultKind.ROW_REMAP) for fault in machine.faults
    )
    return GpuReading(
        util=round(100 * load),
        memory_util=round(62 * load),
        celsius=round(celsius),
        memory_celsius=round(celsius + 8 + 6 * load) if model.has_memory_temperature else NOT_SUPPORTED,
        watts=min(watts, model.full_watts) * (0.7 if hot else 1.0),
        energy_mj=int(counted.energy_mj),
        sm_clock=_clock(model.sm_clock, holding=holder is not None, hot=hot),
        memory_clock=model.memory_clock,
        free_mib=usable - min(usable, round(used)),
        used_mib=min(usable, round(used)),
        reserved_mib=model.reserved_mib,
        pcie_replays=int(3 * fraction(seed, "replays", *key)),
        nvlink_mb=int(counted.nvlink_mb),
        remapped_uncorrectable=broken_rows,
        remapped_correctable=int(1.05 * fraction(seed, "rows", *key)),
        row_remap_failure=int(machine.has(FaultKind.ROW_REMAP, gpu)),
        engine_active=load,
        tensor_active=0.45 * load,
        memory_active=0.55 * load,
        pcie_sent=int(2.1e9 * load),
        pcie_received=int(3.4e9 * load),
        sm_active=0.85 * load,
        slowdown_celsius=model.slowdown_celsius,
        margin_celsius=model.slowdown_celsius - round(celsius),
        clock_reasons=_HW_THERMAL | _HW_SLOWDOWN if hot else _IDLE if holder is None else 0,
        ecc_corrected=int(1.1 * fraction(seed, "sbe", *key)),
        ecc_corrected_ever=int(4 * fraction(seed, "sbe", *key)),
        ecc_uncorrected=int(machine.has(FaultKind.ECC, gpu)),
        ecc_uncorrected_ever=broken_rows,
        remap_pending=int(machine.has(FaultKind.ECC, gpu)),
        nvlink_sent=int(90e9 * load),
        nvlink_received=int(88e9 * load),
        nvlink_replays=int(1.02 * fraction(seed, "links", *key)),
        pcie_gen=model.pcie_gen if holder else 1,  # an idle link rests at the first generation
        pcie_width=16,
        recovery_action=_RESET if machine.has(FaultKind.ECC, gpu) else 0,
    )


def _celsius(machine: Machine, gpu: int, load: float, at: float, *, hot: bool) -> float:
    model = machine.category.model
    trait = 4.0 * (fraction(machine.seed, "heat", machine.name, gpu) - 0.5)
    wander = drift(machine.seed, at, "heat", machine.name, gpu, period=420.0)
    celsius = model.idle_celsius + (model.full_celsius - model.idle_celsius) * load + trait + 1.2 * wander
    return max(celsius + 26.0, _HOT_CELSIUS + wander) if hot else celsius


def _clock(full: int, *, holding: bool, hot: bool) -> int:
    if not holding:
        return _BASE_CLOCK
    return full * 6 // 10 if hot else full


def _within(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))
