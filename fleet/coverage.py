"""What a telemetry source tells of its GPUs and what it leaves out: each column, its metrics, and the check that reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fleet import sentinels
from fleet.category import Category
from fleet.check_catalogue import default_policy
from fleet.gpu_rows import devices
from fleet.telemetry import GpuTelemetry


@dataclass(frozen=True, slots=True)
class Want:
    """One column: the field of GpuTelemetry, its name for people, the metrics (or labels) behind it, the check that reads it."""

    field: str
    label: str
    metrics: tuple[str, ...]
    check: str = ""


WANTS = (
    Want("util", "utilisation", (sentinels.GPU_UTIL,)),
    Want("sm_active", "SM active", (sentinels.SM_ACTIVE,)),
    Want("fb_used_mib", "memory used", (sentinels.FB_USED,)),
    Want("fb_total_mib", "memory in all", (sentinels.FB_FREE,)),
    Want("temp", "temperature", (sentinels.GPU_TEMP,), "temperature"),
    Want("temp_margin", "margin", (sentinels.TEMP_MARGIN, sentinels.TEMP_SLOWDOWN), "temp-margin"),
    Want("memory_temp", "memory temperature", (sentinels.MEMORY_TEMP,)),
    Want("power_watts", "power", (sentinels.POWER_USAGE,)),
    Want("sm_clock", "SM clock", (sentinels.SM_CLOCK,)),
    Want("memory_clock", "memory clock", (sentinels.MEM_CLOCK,)),
    Want("clock_event_reasons", "clock reasons", (sentinels.CLOCK_REASONS,), "clock-events"),
    Want("xid", "last XID", (sentinels.XID_ERRORS,), "xid"),
    Want("ecc_sbe_volatile", "corrected ECC errors", (sentinels.ECC_SBE_VOLATILE,), "ecc-sbe"),
    Want("ecc_dbe_volatile", "uncorrected ECC errors", (sentinels.ECC_DBE_VOLATILE,), "ecc-dbe"),
    Want("ecc_sbe_aggregate", "corrected ECC errors ever", (sentinels.ECC_SBE_AGGREGATE,)),
    Want("ecc_dbe_aggregate", "uncorrected ECC errors ever", (sentinels.ECC_DBE_AGGREGATE,)),
    Want("remapped_correctable", "rows remapped, correctable", (sentinels.REMAPPED_CORRECTABLE,)),
    Want(
        "remapped_uncorrectable",
        "rows remapped, uncorrectable",
        (sentinels.REMAPPED_UNCORRECTABLE,),
        "remapped-rows",
    ),
    Want("row_remap_failure", "row remap failure", (sentinels.ROW_REMAP_FAILURE,), "row-remap"),
    Want("remap_pending", "row remap pending", (sentinels.ROW_REMAP_PENDING,), "row-remap-pending"),
    Want("retired_pending", "pages to retire", (sentinels.RETIRED_PENDING,), "retired-pages"),
    Want("nvlinks_up", "NVLinks up", (sentinels.NVLINK_STATE,), "nvlink"),
    Want("nvlink_errors", "NVLink errors", sentinels.NVLINK_ERRORS[-1:], "nvlink-errors"),
    Want("nvlink_bandwidth", "NVLink bandwidth", (sentinels.NVLINK_SENT, sentinels.NVLINK_RECEIVED)),
    Want("pcie_gen", "PCIe generation", (sentinels.PCIE_GEN,), "pcie-gen"),
    Want("pcie_width", "PCIe lanes", (sentinels.PCIE_WIDTH,), "pcie-width"),
    Want("pcie_replays", "PCIe replays", (sentinels.PCIE_REPLAYS,), "pcie-replays"),
    Want("recovery_action", "recovery action", (sentinels.RECOVERY_ACTION,), "recovery-action"),
    Want("persistence", "persistence", (sentinels.PERSISTENCE,), "persistence"),
    Want("vbios", "VBIOS", ("DCGM_FI_DEV_VBIOS_VERSION",), "vbios"),
    Want("driver", "driver", ("DCGM_FI_DRIVER_VERSION",)),
)
"""Everything that the table and the gate's checks would have of a GPU, in the table's order."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "activity": ("util", "sm_active"),
    "memory": ("fb_used_mib", "fb_total_mib"),
    "heat, power and clocks": (
        *("temp", "temp_margin", "memory_temp", "power_watts", "sm_clock", "memory_clock"),
        "clock_event_reasons",
    ),
    "errors": (
        *("xid", "ecc_sbe_volatile", "ecc_dbe_volatile", "ecc_sbe_aggregate", "ecc_dbe_aggregate"),
        *("remapped_correctable", "remapped_uncorrectable", "row_remap_failure", "remap_pending"),
        "retired_pending",
    ),
    "links": (
        *("nvlinks_up", "nvlink_errors", "nvlink_bandwidth", "pcie_gen", "pcie_width", "pcie_replays"),
    ),
    "state and versions": ("recovery_action", "persistence", "vbios", "driver"),
}
"""The fields of `WANTS` by what they tell of, for words of many lines."""

_UNLESS_DECLARED = ("vbios",)
"""Checks that pass unread where the category declares nothing."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of `nodes` that were looked at, how many tell each field of `WANTS` of every GPU."""

    nodes: int
    telling: Mapping[str, int]

    @property
    def absent(self) -> tuple[Want, ...]:
        """Columns that none of them tells whole."""
        return tuple(want for want in WANTS if not self.telling.get(want.field))

    @property
    def partial(self) -> tuple[tuple[Want, int], ...]:
        """Columns that some tell, with how many do."""
        counts = ((want, self.telling.get(want.field, 0)) for want in WANTS)
        return tuple((want, count) for want, count in counts if 0 < count < self.nodes)


def grouped(wants: Iterable[Want]) -> Mapping[str, Sequence[Want]]:
    """The columns by `GROUPS`, without groups that none of them is of."""
    by_field = {want.field: want for want in wants}
    found = {
        name: [by_field[field] for field in fields if field in by_field] for name, fields in GROUPS.items()
    }
    return {name: columns for name, columns in found.items() if columns}


def cover(rows: Iterable[Sequence[GpuTelemetry]]) -> Coverage:
    """The coverage of some nodes' rows. A node of which nothing was read tells nothing."""
    nodes, telling = 0, dict[str, int]()
    for gpus in rows:
        nodes += 1
        for want in WANTS:
            if gpus and all(any(_tells(row, want) for row in instances) for instances in devices(gpus)):
                telling[want.field] = telling.get(want.field, 0) + 1
    return Coverage(nodes, telling)


def _tells(row: GpuTelemetry, want: Want) -> bool:
    return getattr(row, want.field) not in (None, "")


def unread(coverage: Coverage, category: Category) -> tuple[tuple[Want, ...], tuple[Want, ...]]:
    """What is absent that the category's checks read: those needed, and so UNKNOWN, and those that only say nothing then."""
    needed: list[Want] = []
    silent: list[Want] = []
    for want in coverage.absent:
        rule = category.checks.get(want.check) or default_policy(want.check)
        if not want.check or not rule.enabled or (want.check in _UNLESS_DECLARED and not category.vbios):
            continue
        (needed if rule.needed else silent).append(want)
    return tuple(needed), tuple(silent)
