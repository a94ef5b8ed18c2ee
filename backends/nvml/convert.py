"""Turns a reading of NVML into the fleet's values: rows of GPUs, and the host as a node of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from backends.nvml.reading import Gpu, Host
from fleet import clock_reasons, sentinels
from fleet.node import Condition, Image, Node, NodeKey, Readiness, Software
from fleet.telemetry import GpuTelemetry
from fleet.text import clean

SOURCE = "nvml"
"""The name of the source whose one node is this host."""

_TEXT_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Here:
    """What the operating system says of this host."""

    name: str
    machine: str = ""
    boot_id: str = ""
    kernel: str = ""
    os_image: str = ""

    @property
    def key(self) -> NodeKey:
        return NodeKey(SOURCE, self.name)


def rows_of(
    host: Host, at: datetime, heard: Mapping[str, tuple[int, datetime]] | None = None
) -> tuple[GpuTelemetry, ...]:
    """A row for each GPU and MIG instance. NVML keeps no last XID: one is known where it was heard, by UUID, and when."""
    rows = (_row(gpu, host.driver, at) for gpu in host.gpus)
    return tuple(_with_xid(row, (heard or {}).get(row.uuid)) for row in rows)


def _with_xid(row: GpuTelemetry, heard: tuple[int, datetime] | None) -> GpuTelemetry:
    return row if heard is None or row.instance else replace(row, xid=heard[0], xid_at=heard[1])


def node_of(host: Host, here: Here) -> Node:
    """This host, open and in service: nothing keeps work off it that NVML could know of."""
    whole = [gpu for gpu in host.gpus if gpu.instance is None]
    product = next((gpu.name for gpu in whole if gpu.name), "")
    driver = clean(host.driver, _TEXT_LIMIT)
    return Node(
        here.key,
        uid=here.machine,
        category=clean("-".join(product.split()), _TEXT_LIMIT),
        category_from="GPU model" if product else "",
        image=Image(running=driver or None, running_from="driver" if driver else ""),
        readiness=Readiness.READY,
        conditions=tuple(_conditions(whole)),
        gpus_capacity=len(whole),
        gpus_allocatable=sum(not gpu.mig and _answers(gpu) for gpu in whole),
        mig_allocatable=len(host.gpus) - len(whole),
        boot_id=here.boot_id,
        software=Software(
            driver=driver,
            cuda=clean(host.cuda, _TEXT_LIMIT),
            kernel=here.kernel,
            os_image=here.os_image,
            gpu_product=clean(product, _TEXT_LIMIT),
        ),
    )


def _row(gpu: Gpu, driver: str, at: datetime) -> GpuTelemetry:
    is_instance = gpu.instance is not None
    used, total = (
        (None, None)
        if gpu.mig  # its instances tell of the memory
        else (_known(sentinels.FB_USED, gpu.used_mib), _known(sentinels.FB_TOTAL, gpu.total_mib))
    )
    return GpuTelemetry(
        gpu=str(gpu.index),
        uuid=clean(gpu.uuid, _TEXT_LIMIT),
        instance="" if gpu.instance is None else str(gpu.instance),
        profile=clean(gpu.name.rpartition("MIG ")[2], _TEXT_LIMIT) if is_instance else "",
        model=clean(gpu.name.partition(" MIG ")[0], _TEXT_LIMIT),
        pci_bus_id=clean(gpu.bus, _TEXT_LIMIT),
        driver=clean(driver, _TEXT_LIMIT),
        util=_known(sentinels.GPU_UTIL, gpu.util),
        temp=_known(sentinels.GPU_TEMP, gpu.temp),
        memory_temp=_known(sentinels.MEMORY_TEMP, gpu.memory_temp),
        power_watts=_known(sentinels.POWER_USAGE, gpu.power_watts),
        fb_used_mib=used,
        fb_total_mib=total,
        sm_clock=_known(sentinels.SM_CLOCK, gpu.sm_clock),
        memory_clock=_known(sentinels.MEM_CLOCK, gpu.memory_clock),
        pcie_replays=_known(sentinels.PCIE_REPLAYS, gpu.pcie_replays),
        remapped_uncorrectable=_known(sentinels.REMAPPED_UNCORRECTABLE, gpu.remapped_uncorrectable),
        remapped_correctable=_known(sentinels.REMAPPED_CORRECTABLE, gpu.remapped_correctable),
        row_remap_failure=gpu.remap_failed,
        temp_slowdown=_known(sentinels.TEMP_SLOWDOWN, gpu.temp_slowdown),
        temp_margin=_margin(gpu),
        clock_event_reasons=gpu.clock_reasons,
        ecc_sbe_volatile=_known(sentinels.ECC_SBE_VOLATILE, gpu.ecc_corrected),
        ecc_dbe_volatile=_known(sentinels.ECC_DBE_VOLATILE, gpu.ecc_uncorrected),
        ecc_sbe_aggregate=_known(sentinels.ECC_SBE_AGGREGATE, gpu.ecc_corrected_ever),
        ecc_dbe_aggregate=_known(sentinels.ECC_DBE_AGGREGATE, gpu.ecc_uncorrected_ever),
        remap_pending=gpu.remap_pending,
        retired_pending=None if gpu.retired_pending is None else float(gpu.retired_pending),
        nvlinks_up=gpu.links_up,
        nvlinks_down=None if gpu.links is None or gpu.links_up is None else gpu.links - gpu.links_up,
        nvlink_errors=_known(sentinels.NVLINK_REPLAYS, gpu.link_errors),
        recovery_action=gpu.recovery_action,
        pcie_gen=gpu.pcie_gen,
        pcie_width=gpu.pcie_width,
        pcie_gen_max=gpu.pcie_gen_max,
        pcie_width_max=gpu.pcie_width_max,
        persistence=gpu.persistence,
        vbios=clean(gpu.vbios, _TEXT_LIMIT),
        held_by=_holders(gpu.processes),
        at=at,
    )


def _margin(gpu: Gpu) -> float | None:
    """As NVML gives it (from Ampere on), else what is left to the threshold."""
    if gpu.margin is not None:
        return _known(sentinels.TEMP_MARGIN, gpu.margin)
    temp = _known(sentinels.GPU_TEMP, gpu.temp)
    slowdown = _known(sentinels.TEMP_SLOWDOWN, gpu.temp_slowdown)
    return None if temp is None or slowdown is None else slowdown - temp


def _known(metric: str, value: float | None) -> float | None:
    """NVML too has numbers that mean none: all ones where a sensor does not answer."""
    return None if value is None else sentinels.reading(metric, value)


def _holders(processes: Sequence[str]) -> str:
    if not processes:
        return ""
    more = f" and {len(processes) - 1} more" if len(processes) > 1 else ""
    return clean(processes[0], _TEXT_LIMIT - 20) + more


def _answers(gpu: Gpu) -> bool:
    return any(value is not None for value in (gpu.util, gpu.temp, gpu.power_watts, gpu.used_mib))


_FAULTS: tuple[tuple[str, Callable[[Gpu], bool], str, bool | None], ...] = (
    ("GpuUnreadable", lambda gpu: not _answers(gpu), "does not answer", True),
    ("RowRemapPending", lambda gpu: gpu.remap_pending is True, "waits for a reset to remap rows", True),
    (
        "ClocksSlowed",
        lambda gpu: clock_reasons.is_slowed(gpu.clock_reasons or 0),
        "is slowed by heat or power",
        True,
    ),
    (
        "PcieWidthReduced",
        lambda gpu: (gpu.pcie_width or 0) < (gpu.pcie_width_max or 0) and bool(gpu.pcie_width),
        "has fewer PCIe lanes than it could",
        True,
    ),
    (
        "NvlinkDown",
        lambda gpu: bool(gpu.links_up) and gpu.links_up != gpu.links,
        "has NVLinks that are down",
        None,  # a card with a bridge has some that lead nowhere
    ),
)


def _conditions(gpus: Sequence[Gpu]) -> Iterator[Condition]:
    """What NVML tells beyond the columns, as the host's conditions: each fault with the GPUs that have it, and the VBIOS."""
    for name, has, says, bad in _FAULTS:
        named = [str(gpu.index) for gpu in gpus if has(gpu)]
        if named:
            yield Condition(name, "True", bad, message=f"GPU {', '.join(named)} {says}")
    versions = Counter(clean(gpu.vbios, _TEXT_LIMIT) for gpu in gpus if gpu.vbios)
    if versions:
        told = ", ".join(f"{version} on {count}" for version, count in versions.most_common())
        yield Condition("VbiosMixed", str(len(versions) > 1), len(versions) > 1, message=f"VBIOS {told}")
