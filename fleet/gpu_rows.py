"""From exporter samples to one row a GPU, and from rows to their node: shared by every source of DCGM metrics.

A GPU's samples come one a metric, and labels that change with the value (`err_code` beside an XID) or with the holder do
not make it another GPU: index, UUID and MIG instance do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fleet import sentinels, xid
from fleet.clock_reasons import is_slowed
from fleet.telemetry import GpuTelemetry, NodeTelemetry
from fleet.text import clean

Labels = Mapping[str, str]

_FIELDS: Mapping[str, str] = {
    sentinels.GPU_UTIL: "util",
    sentinels.TENSOR_ACTIVE: "tensor_active",
    sentinels.GPU_TEMP: "temp",
    sentinels.MEMORY_TEMP: "memory_temp",
    sentinels.POWER_USAGE: "power_watts",
    sentinels.FB_USED: "fb_used_mib",
    sentinels.FB_TOTAL: "fb_total_mib",
    sentinels.SM_CLOCK: "sm_clock",
    sentinels.MEM_CLOCK: "memory_clock",
    sentinels.PCIE_REPLAYS: "pcie_replays",
    sentinels.REMAPPED_UNCORRECTABLE: "remapped_uncorrectable",
    sentinels.REMAPPED_CORRECTABLE: "remapped_correctable",
    sentinels.ECC_DBE_VOLATILE: "ecc_dbe_volatile",
    sentinels.ECC_SBE_VOLATILE: "ecc_sbe_volatile",
    sentinels.ECC_SBE_AGGREGATE: "ecc_sbe_aggregate",
    sentinels.ECC_DBE_AGGREGATE: "ecc_dbe_aggregate",
    sentinels.SM_ACTIVE: "sm_active",
    sentinels.ENGINE_ACTIVE: "engine_active",
    sentinels.TEMP_MARGIN: "temp_margin",
    sentinels.TEMP_SLOWDOWN: "temp_slowdown",
    sentinels.RETIRED_PENDING: "retired_pending",
}
_WHOLE: Mapping[str, str] = {
    sentinels.XID_ERRORS: "xid",
    sentinels.CLOCK_REASONS: "clock_event_reasons",
    sentinels.PCIE_GEN: "pcie_gen",
    sentinels.PCIE_WIDTH: "pcie_width",
    sentinels.PCIE_GEN_MAX: "pcie_gen_max",
    sentinels.PCIE_WIDTH_MAX: "pcie_width_max",
    sentinels.RECOVERY_ACTION: "recovery_action",
}
_FLAGS: Mapping[str, str] = {
    sentinels.ROW_REMAP_FAILURE: "row_remap_failure",
    sentinels.ROW_REMAP_PENDING: "remap_pending",
    sentinels.PERSISTENCE: "persistence",
}
_TOGETHER: Mapping[str, Sequence[str]] = {
    "nvlink_bandwidth": (sentinels.NVLINK_SENT, sentinels.NVLINK_RECEIVED),
    "nvlink_errors": sentinels.NVLINK_ERRORS,
}
_ONE_NAME = frozenset(
    {
        *_FIELDS,
        *_WHOLE,
        *_FLAGS,
        *(metric for metrics in _TOGETHER.values() for metric in metrics),
        sentinels.FB_FREE,
        sentinels.FB_RESERVED,
        sentinels.NVLINK_STATE,
    }
)
METRICS = _ONE_NAME | sentinels.RENAMED.keys()
"""The metrics that a row is made of; a source need ask for no others."""

HOLDER_LABELS = (
    *("exported_namespace", "exported_pod", "namespace", "pod", "pod_namespace", "pod_name", "hpc_job"),
)
"""Labels that tell which pod or batch job has a GPU."""

_TEXT_LIMIT = 120
_UUIDS = ("UUID", "uuid", "gpu_uuid")  # the last on series of links
_NUMBERS = ("gpu", "GPU")
_LEFTOVER = timedelta(seconds=60)
"""What is older by so much than another sample of its GPU is a series that ended and was not taken back yet."""


@dataclass(slots=True)
class _Row:
    labels: dict[str, str]
    readings: dict[str, float] = field(default_factory=dict)
    links: dict[str, bool] = field(default_factory=dict)  # NVLinks by number, whether each is up
    at: datetime | None = None

    def note(self, metric: str, known: float) -> None:
        kept = self.readings.get(metric)
        self.readings[metric] = known if kept is None else _stronger(metric, kept, known)

    def take(self, older: _Row) -> None:
        """Take in what another exporter of this GPU said a little earlier."""
        for metric, known in older.readings.items():
            self.note(metric, known)
        self.links = {**older.links, **self.links}
        self.labels = {**older.labels, **self.labels}
        if older.at is not None and self.at is not None:
            self.at = min(older.at, self.at)


_Key = tuple[str, str, str, str]
"""Node, number, UUID and MIG instance."""


class GpuRows:
    """Gathers samples, in any order, into rows by node. `name_of` says from a sample's labels whose it is; empty: nobody's."""

    def __init__(self, name_of: Callable[[Labels], str]) -> None:
        self._name_of = name_of
        self._rows: dict[_Key, _Row] = {}
        self._seen: dict[int, tuple[Labels, _Row | None]] = {}

    def add(self, metric: str, labels: Labels, value: float, at: datetime | None = None) -> None:
        """Take one sample in. Blank and impossible values leave a row that knows nothing, so that the GPU still counts as named."""
        row = self._row(labels)
        if row is None:
            return
        if at is not None:
            row.at = at if row.at is None else min(row.at, at)
        metric = sentinels.RENAMED.get(metric, metric)
        known = sentinels.reading(metric, value)
        if metric == sentinels.NVLINK_STATE:
            if known is not None and labels.get("nvlink"):
                row.links[labels["nvlink"]] = known > 0  # NVML_NVLINK_STATE_INACTIVE is 0, ACTIVE 1, SLEEP 2
        elif known is not None:
            row.note(metric, known)

    def by_node(self, at: datetime | None = None) -> dict[str, tuple[GpuTelemetry, ...]]:
        """Rows of each node in order of GPU and instance. `at` stands for samples that brought no time of their own."""
        nodes: dict[str, list[GpuTelemetry]] = {}
        for row in self._rows.values():
            row.at = row.at or at
        for node, row in _one_a_gpu(self._rows):
            nodes.setdefault(node, []).append(_telemetry(row))
        return {node: tuple(sorted(rows, key=_order)) for node, rows in nodes.items()}

    def _row(self, labels: Labels) -> _Row | None:
        # An exporter page repeats the same labels for every metric, and its parser hands out the same object again.
        seen = self._seen.get(id(labels))
        if seen is not None:
            return seen[1]
        row = self._find(labels)
        self._seen[id(labels)] = (labels, row)
        return row

    def _find(self, labels: Labels) -> _Row | None:
        gpu, uuid = _first(labels, _NUMBERS), _first(labels, _UUIDS)
        node = self._name_of(labels)
        if not node or not (gpu or uuid):
            return None
        row = self._rows.setdefault((node, gpu, uuid, labels.get("GPU_I_ID", "")), _Row({}))
        for name, value in labels.items():
            if value:
                row.labels.setdefault(name, value)
        return row


def _one_a_gpu(rows: Mapping[_Key, _Row]) -> Iterator[tuple[str, _Row]]:
    """The rows by node, each GPU once: it is its UUID, whatever number it had before a reboot or for another exporter.

    Rows sampled at the same moment are apart all the same: they are of an exporter whose UUIDs are none.
    """
    alike: dict[tuple[str, str, str], list[_Row]] = {}
    for (node, gpu, uuid, instance), row in rows.items():
        alike.setdefault((node, uuid or f"number {gpu}", instance), []).append(row)
    ended = _taken_over(rows)
    for (node, *_), same in alike.items():
        same.sort(key=_sampled)
        newest = same.pop()
        if id(newest) in ended:
            continue
        for row in reversed(same):
            if row.at == newest.at:
                yield node, row
            elif row.at is not None and newest.at is not None and newest.at - row.at < _LEFTOVER:
                newest.take(row)
        yield node, newest


def _taken_over(rows: Mapping[_Key, _Row]) -> set[int]:
    """Identities of the rows whose number another GPU has by now: a card that was replaced, or one that was numbered anew."""
    holders: dict[tuple[str, str], list[tuple[datetime, str, _Row]]] = {}
    for (node, gpu, uuid, _), row in rows.items():
        if gpu and row.at is not None:
            holders.setdefault((node, gpu), []).append((row.at, uuid, row))
    return {
        id(row)
        for held in holders.values()
        if len(held) > 1
        for at, uuid, row in held
        if any(other != uuid and newer - at >= _LEFTOVER for newer, other, _ in held)
    }


def _sampled(row: _Row) -> float:
    return row.at.timestamp() if row.at is not None else 0.0


def _first(labels: Labels, names: Iterable[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def node_from_gpus(
    rows: Sequence[GpuTelemetry], at: datetime, severity_of: xid.SeverityOf = xid.default_severity
) -> NodeTelemetry:
    """What the rows of one node come to. The oldest row's time counts; a value that no row knows is None.

    MIG instances share their GPU's power, heat and index, so power and the number of GPUs count each GPU once.
    """
    grouped = devices(rows)
    utils = [row.util for row in rows if row.util is not None]
    code = _xid(rows, severity_of)
    return NodeTelemetry(
        at=min((row.at for row in rows if row.at is not None), default=at),
        gpus_seen=sum(any(map(knows, instances)) for instances in grouped),
        gpu_util=sum(utils) / len(utils) if utils else None,
        gpu_util_min=min(utils, default=None),
        gpu_util_max=max(utils, default=None),
        gpu_temp_max=max((row.temp for row in rows if row.temp is not None), default=None),
        temp_margin_min=min((row.temp_margin for row in rows if row.temp_margin is not None), default=None),
        fb_used_ratio=_used_ratio(rows),
        power_watts=_total(_most(row.power_watts for row in instances) for instances in grouped),
        xid=code,
        xid_at=xid.shown_since(code, _shown(rows), severity_of) if code else None,
        xids=_by_code(grouped) if code else (),
        row_remap_failure=_any(row.row_remap_failure for row in rows),
        remap_pending=_any(row.remap_pending for row in rows),
        remapped_rows=_most(row.remapped_uncorrectable for row in rows),
        ecc_dbe=_most(row.ecc_dbe_volatile for row in rows),
        slowed=_any(
            None if row.clock_event_reasons is None else is_slowed(row.clock_event_reasons) for row in rows
        ),
        recovery_action=max(
            (row.recovery_action for row in rows if row.recovery_action is not None), default=None
        ),
    )


def devices(rows: Iterable[GpuTelemetry]) -> list[list[GpuTelemetry]]:
    """Rows grouped by physical GPU: MIG instances and their parent together."""
    devices: dict[str, list[GpuTelemetry]] = {}
    for row in rows:
        devices.setdefault(row.uuid or row.gpu, []).append(row)
    return list(devices.values())


def knows(row: GpuTelemetry) -> bool:
    """Whether the row tells anything that every GPU can tell."""
    return any(value is not None for value in (row.util, row.temp, row.power_watts, row.fb_used_mib))


def _stronger(metric: str, kept: float, known: float) -> float:
    """Which of two samples of one thing to believe: two series of one GPU are a leftover and its follower."""
    if metric == sentinels.XID_ERRORS:
        return xid.worst((int(kept), int(known))) or 0
    return max(kept, known)


def _telemetry(row: _Row) -> GpuTelemetry:
    labels, readings = row.labels, row.readings
    values: dict[str, Any] = {name: readings.get(metric) for metric, name in _FIELDS.items()}
    values |= {name: _whole(readings.get(metric)) for metric, name in _WHOLE.items()}
    values |= {name: _flag(readings.get(metric)) for metric, name in _FLAGS.items()}
    values |= {name: _total(map(readings.get, metrics)) for name, metrics in _TOGETHER.items()}
    if values["fb_total_mib"] is None:
        values["fb_total_mib"] = _memory(readings)
    if values["temp_margin"] is None:
        values["temp_margin"] = _margin(values["temp"], values["temp_slowdown"])
    return GpuTelemetry(
        gpu=_text(labels, *_NUMBERS),
        uuid=_text(labels, *_UUIDS),
        instance=_text(labels, "GPU_I_ID"),
        profile=_text(labels, "GPU_I_PROFILE"),
        model=_text(labels, "modelName", "model_name"),
        pci_bus_id=_text(labels, "pci_bus_id"),
        driver=_text(labels, "DCGM_FI_DRIVER_VERSION"),
        vbios=_text(labels, "DCGM_FI_DEV_VBIOS_VERSION"),
        nvlinks_up=sum(row.links.values()) if row.links else None,
        nvlinks_down=sum(not up for up in row.links.values()) if row.links else None,
        held_by=holder_of(labels),
        at=row.at,
        **values,
    )


def _whole(value: float | None) -> int | None:
    return None if value is None or value != int(value) else int(value)


def _flag(value: float | None) -> bool | None:
    return None if value is None else value > 0


def _margin(temp: float | None, slowdown: float | None) -> float | None:
    return None if temp is None or slowdown is None else slowdown - temp


def _memory(readings: Mapping[str, float]) -> float | None:
    used, free = readings.get(sentinels.FB_USED), readings.get(sentinels.FB_FREE)
    if used is None or free is None:
        return None
    return used + free + readings.get(sentinels.FB_RESERVED, 0.0)


def holder_of(labels: Labels) -> str:
    """Who has a GPU by its labels, one of `HOLDER_LABELS`; empty where nobody is named.

    Where Prometheus renamed the exporter's `pod`, the plain one is the exporter itself.
    """
    for prefix, suffix in (("exported_", ""), ("", ""), ("", "_name")):
        pod = labels.get(f"{prefix}pod{suffix}", "")
        if pod and not (prefix == "" and "dcgm-exporter" in pod):
            space = labels.get(f"{prefix}namespace") or labels.get(f"{prefix}pod_namespace", "")
            return clean(f"{space}/{pod}" if space else pod, _TEXT_LIMIT)
    job = labels.get("hpc_job", "")
    return clean(f"job {job}", _TEXT_LIMIT) if job else ""


def _text(labels: Labels, *names: str) -> str:
    return clean(_first(labels, names), _TEXT_LIMIT)


def _order(row: GpuTelemetry) -> tuple[bool, int, str, str, int, str]:
    return (
        not row.gpu.isdecimal(),
        int(row.gpu) if row.gpu.isdecimal() else 0,
        row.gpu,
        row.uuid,
        int(row.instance) if row.instance.isdecimal() else -1,
        row.instance,
    )


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _used_ratio(rows: Iterable[GpuTelemetry]) -> float | None:
    known = [
        (row.fb_used_mib, row.fb_total_mib)
        for row in rows
        if row.fb_used_mib is not None and row.fb_total_mib is not None
    ]
    total = sum(total for _, total in known)
    return sum(used for used, _ in known) / total if total else None


def _xid(rows: Sequence[GpuTelemetry], severity_of: xid.SeverityOf) -> int | None:
    """The hardest code of any GPU; 0 only where every one of them says that it has none."""
    code = xid.worst((row.xid for row in rows if row.xid is not None), severity_of)
    return None if code == 0 and any(row.xid is None for row in rows) else code


def _shown(rows: Iterable[GpuTelemetry]) -> Iterator[tuple[int, datetime | None]]:
    """The XIDs that GPUs show, each with since when."""
    return ((row.xid, row.xid_at) for row in rows if row.xid)


def _by_code(grouped: Iterable[Sequence[GpuTelemetry]]) -> tuple[tuple[int, int], ...]:
    """Every XID with how many GPUs show it."""
    shown = ({row.xid for row in instances if row.xid} for instances in grouped)
    return tuple(sorted(Counter(code for codes in shown for code in codes).items()))


def _any(flags: Iterable[bool | None]) -> bool | None:
    known = [flag for flag in flags if flag is not None]
    return any(known) if known else None
