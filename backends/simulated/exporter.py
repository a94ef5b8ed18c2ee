"""The pages a dcgm-exporter would serve for simulated machines, in Prometheus' text format.

Families, types and HELP texts are those of dcgm-exporter's default-counters.csv (commit d5e5f51); the driver version is
a label, as there. What a product lacks shows as DCGM's blank, or not at all for NVLink. `Fields` says whether a
page has more than these, as from an exporter with a list of counters of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from backends.simulated.machines import Machine
from backends.simulated.sensors import NOT_SUPPORTED, GpuReading, read_gpu

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_XID = "DCGM_FI_DEV_XID_ERRORS"
_NVLINK = "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"
_NVLINK_SENT, _NVLINK_RECEIVED = "DCGM_FI_PROF_NVLINK_TX_BYTES", "DCGM_FI_PROF_NVLINK_RX_BYTES"
_NVLINK_ERRORS = tuple(
    f"DCGM_FI_DEV_NVLINK_{kind}_ERROR_COUNT_TOTAL" for kind in ("CRC_FLIT", "CRC_DATA", "REPLAY", "RECOVERY")
)
_LINK_STATE = "DCGM_FI_DEV_NVLINK_GET_STATE"  # a series a link
_OF_NVLINK = frozenset({_NVLINK, _NVLINK_SENT, _NVLINK_RECEIVED, *_NVLINK_ERRORS, _LINK_STATE})
_LINES_A_CHUNK = 500
_FEW = frozenset(
    {
        "DCGM_FI_DEV_GPU_UTIL",
        "DCGM_FI_DEV_GPU_TEMP",
        "DCGM_FI_DEV_POWER_USAGE",
        "DCGM_FI_DEV_FB_USED",
        "DCGM_FI_DEV_FB_FREE",
        "DCGM_FI_DEV_XID_ERRORS",
        "DCGM_FI_DEV_ROW_REMAP_FAILURE",
    }
)

_XID_MESSAGES = {
    31: "GPU memory page fault",
    43: "GPU stopped processing",
    45: "Preemptive cleanup, due to previous errors -- Most likely to see when running multiple cuda",
    48: "Double Bit ECC Error",
    63: "ECC page retirement or row remapping recording event",
    64: "ECC page retirement or row remapper recording failure",
    74: "NVLINK Error",
    79: "GPU has fallen off the bus",
    94: "Contained ECC error",
    95: "Uncontained ECC error",
    119: "GSP RPC timeout",
}


class Fields(Enum):
    """How much an exporter was told to export: what it does by default, more of each GPU, or each NVLink too.

    FEW is what a fleet's table needs and no more, under short labels: the pages of thousands of nodes have to be read.
    """

    FEW = "few"
    DEFAULT = ""
    MORE = "more"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class _Family:
    name: str
    type: str
    help: str
    value: Callable[[GpuReading], str]


def _whole(name: str) -> Callable[[GpuReading], str]:
    return lambda reading: str(getattr(reading, name))


def _ratio(name: str) -> Callable[[GpuReading], str]:
    return lambda reading: f"{getattr(reading, name):.6f}"


FAMILIES = (
    _Family("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz).", _whole("sm_clock")),
    _Family("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz).", _whole("memory_clock")),
    _Family("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Memory temperature (in C).", _whole("memory_celsius")),
    _Family("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", _whole("celsius")),
    _Family("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", lambda reading: f"{reading.watts:.3f}"),
    _Family(
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "counter",
        "Total energy consumption since boot (in mJ).",
        _whole("energy_mj"),
    ),
    _Family(
        "DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries.", _whole("pcie_replays")
    ),
    _Family("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", _whole("util")),
    _Family("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %).", _whole("memory_util")),
    _Family("DCGM_FI_DEV_ENC_UTIL", "gauge", "Encoder utilization (in %).", lambda _: "0"),
    _Family("DCGM_FI_DEV_DEC_UTIL", "gauge", "Decoder utilization (in %).", lambda _: "0"),
    _Family(_XID, "gauge", "Value of the last XID error encountered.", lambda _: "0"),
    _Family("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB).", _whole("free_mib")),
    _Family("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", _whole("used_mib")),
    _Family(
        "DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved (in MiB).", _whole("reserved_mib")
    ),
    _Family(
        _NVLINK, "counter", "Total number of NVLink bandwidth counters for all lanes.", _whole("nvlink_mb")
    ),
    _Family("DCGM_FI_DEV_VGPU_LICENSE_STATUS", "gauge", "vGPU License status", lambda _: "0"),
    _Family(
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Number of remapped rows for uncorrectable errors",
        _whole("remapped_uncorrectable"),
    ),
    _Family(
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Number of remapped rows for correctable errors",
        _whole("remapped_correctable"),
    ),
    _Family(
        "DCGM_FI_DEV_ROW_REMAP_FAILURE",
        "gauge",
        "Whether remapping of rows has failed",
        _whole("row_remap_failure"),
    ),
    _Family(
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "gauge",
        "Ratio of time the graphics engine is active.",
        _ratio("engine_active"),
    ),
    _Family(
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
        "gauge",
        "Ratio of cycles the tensor (HMMA) pipe is active.",
        _ratio("tensor_active"),
    ),
    _Family(
        "DCGM_FI_PROF_DRAM_ACTIVE",
        "gauge",
        "Ratio of cycles the device memory interface is active sending or receiving data.",
        _ratio("memory_active"),
    ),
    _Family(
        "DCGM_FI_PROF_PCIE_TX_BYTES",
        "gauge",
        "The rate of data transmitted over the PCIe bus - including both protocol headers and data payloads - "
        "in bytes per second.",
        _whole("pcie_sent"),
    ),
    _Family(
        "DCGM_FI_PROF_PCIE_RX_BYTES",
        "gauge",
        "The rate of data received over the PCIe bus - including both protocol headers and data payloads - "
        "in bytes per second.",
        _whole("pcie_received"),
    ),
)


MORE_FAMILIES = (
    _Family(
        "DCGM_FI_PROF_SM_ACTIVE",
        "gauge",
        "The ratio of cycles an SM has at least 1 warp assigned.",
        _ratio("sm_active"),
    ),
    _Family("DCGM_FI_DEV_SLOWDOWN_TEMP", "gauge", "Slowdown temperature (in C).", _whole("slowdown_celsius")),
    _Family("DCGM_FI_DEV_GPU_TEMP_LIMIT", "gauge", "Thermal margin (in C).", _whole("margin_celsius")),
    _Family(
        "DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "gauge", "Current clock event reasons.", _whole("clock_reasons")
    ),
    _Family(
        "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL",
        "counter",
        "Total number of single-bit volatile ECC errors.",
        _whole("ecc_corrected"),
    ),
    _Family(
        "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
        "counter",
        "Total number of double-bit volatile ECC errors.",
        _whole("ecc_uncorrected"),
    ),
    _Family(
        "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL",
        "counter",
        "Total number of single-bit persistent ECC errors.",
        _whole("ecc_corrected_ever"),
    ),
    _Family(
        "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL",
        "counter",
        "Total number of double-bit persistent ECC errors.",
        _whole("ecc_uncorrected_ever"),
    ),
    _Family(
        "DCGM_FI_DEV_ROW_REMAP_PENDING", "gauge", "Whether a row remap is pending", _whole("remap_pending")
    ),
    _Family(
        "DCGM_FI_DEV_RETIRED_PENDING",
        "counter",
        "Total number of pages pending retirement.",
        lambda _: str(NOT_SUPPORTED),
    ),
    _Family(_NVLINK_SENT, "gauge", "The rate of data sent over NVLink (in bytes/s).", _whole("nvlink_sent")),
    _Family(
        _NVLINK_RECEIVED,
        "gauge",
        "The rate of data received over NVLink (in bytes/s).",
        _whole("nvlink_received"),
    ),
    _Family(_NVLINK_ERRORS[0], "counter", "Total number of NVLink flow-control CRC errors.", lambda _: "0"),
    _Family(_NVLINK_ERRORS[1], "counter", "Total number of NVLink data CRC errors.", lambda _: "0"),
    _Family(_NVLINK_ERRORS[2], "counter", "Total number of NVLink retries.", _whole("nvlink_replays")),
    _Family(_NVLINK_ERRORS[3], "counter", "Total number of NVLink recovery errors.", lambda _: "0"),
    _Family("DCGM_FI_DEV_PCIE_LINK_GEN", "gauge", "PCIe current link generation.", _whole("pcie_gen")),
    _Family("DCGM_FI_DEV_PCIE_LINK_WIDTH", "gauge", "PCIe current link width.", _whole("pcie_width")),
    _Family("DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH", "gauge", "PCIe max link width.", lambda _: "16"),
    _Family(
        "DCGM_FI_DEV_GET_GPU_RECOVERY_ACTION", "gauge", "GPU recovery action.", _whole("recovery_action")
    ),
    _Family("DCGM_FI_DEV_PERSISTENCE_MODE", "gauge", "Whether persistence mode is on.", lambda _: "1"),
)

_LINKS = _Family(_LINK_STATE, "gauge", "NVLink state, 1 where the link is up.", lambda _: "1")


@dataclass(frozen=True, slots=True)
class Row:
    """One GPU of the page. A GPU that fell off the bus has no reading, and shows its last XID alone."""

    labels: str
    reading: GpuReading | None
    xid: int
    nvlinks: int


def page(machines: Iterable[Machine], at: float, *, fields: Fields = Fields.DEFAULT) -> Iterator[str]:
    """The page of those machines' GPUs at `at` simulated seconds, in pieces of some hundred lines."""
    return render([row for machine in machines for row in rows(machine, at, fields=fields)], fields=fields)


def rows(machine: Machine, at: float, *, fields: Fields = Fields.DEFAULT) -> Iterator[Row]:
    """What a machine's exporter knows at that moment, GPU by GPU."""
    working = machine.working_gpus
    for gpu in range(machine.category.gpus):
        xid = machine.xids.get(gpu, 0)
        if gpu in working:
            yield Row(
                _labels(machine, gpu, fields), read_gpu(machine, gpu, at), xid, machine.category.model.nvlinks
            )
        elif xid:
            yield Row(_labels(machine, gpu, fields), None, xid, 0)


def render(known: Sequence[Row], *, fields: Fields = Fields.DEFAULT) -> Iterator[str]:
    """The page of those rows, family by family, in pieces of some hundred lines."""
    for family in _families(fields):
        samples = _samples(family, known)
        piece = list(islice(samples, _LINES_A_CHUNK))
        if piece:
            yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.type}\n"
        while piece:
            yield "".join(piece)
            piece = list(islice(samples, _LINES_A_CHUNK))


def _families(fields: Fields) -> Sequence[_Family]:
    if fields is Fields.FEW:
        return [family for family in FAMILIES if family.name in _FEW]
    if fields is Fields.DEFAULT:
        return FAMILIES
    return (*FAMILIES, *MORE_FAMILIES, _LINKS) if fields is Fields.ALL else (*FAMILIES, *MORE_FAMILIES)


def _samples(family: _Family, known: Sequence[Row]) -> Iterator[str]:
    for row in known:
        if family.name == _XID:
            yield f"{family.name}{{{row.labels}{_error(row.xid)}}} {row.xid}\n"
        elif row.reading is None or (family.name in _OF_NVLINK and not row.nvlinks):
            continue
        elif family.name == _LINK_STATE:
            value = family.value(row.reading)
            for link in range(row.nvlinks):
                yield f'{family.name}{{nvlink="{link}",{row.labels}}} {value}\n'
        else:
            yield f"{family.name}{{{row.labels}}} {family.value(row.reading)}\n"


def _labels(machine: Machine, gpu: int, fields: Fields) -> str:
    if fields is Fields.FEW:
        return f'gpu="{gpu}",Hostname="{machine.name}"'
    driver = machine.category.image(machine.image).driver
    labels = (
        f'gpu="{gpu}",UUID="{machine.gpu_uuid(gpu)}",pci_bus_id="{machine.bus_id(gpu)}",device="nvidia{gpu}",'
        f'modelName="{machine.category.model.name}",Hostname="{machine.name}",DCGM_FI_DRIVER_VERSION="{driver}"'
    )
    if fields is not Fields.DEFAULT:
        labels += f',DCGM_FI_DEV_VBIOS_VERSION="{machine.category.model.vbios}"'
    holder = machine.holders[gpu]
    if holder is None:
        return labels
    return f'{labels},container="{holder.container}",namespace="{holder.namespace}",pod="{holder.pod}"'


def _error(xid: int) -> str:
    if not xid:
        return ""
    return f',err_code="{xid}",err_msg="{_XID_MESSAGES.get(xid, "Unknown Error")}"'
