"""Asks NVML everything that a row of a GPU can show. Runs in the child; the library is handed in, so that a test can be one.

Each call may fail by itself (a card without ECC, a guest without the right), and that leaves a hole, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_MIB = 1 << 20
_NO_MEMORY_SENSOR = 0
_MEMORY_TEMP, _RECOVERY = "NVML_FI_DEV_MEMORY_TEMP", "NVML_FI_DEV_GET_GPU_RECOVERY_ACTION"
_LINK_ERRORS = tuple(
    f"NVML_FI_DEV_NVLINK_{kind}_ERROR_COUNT_TOTAL" for kind in ("CRC_FLIT", "CRC_DATA", "REPLAY", "RECOVERY")
)
_VALUE_PARTS = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}
"""The member of nvmlValue_t by nvmlValueType_t (nvml.h)."""

_LINKS = 18  # NVLINK_MAX_LINKS of nvml.h (driver 570)
_MOST_GPUS = 64


class Gpu(msgspec.Struct, omit_defaults=True, gc=False):
    """One GPU or MIG instance as NVML tells it, in NVML's meaning and our units; None is what it did not tell.

    `xid` is the last that was heard while somebody listened, `xids` how many were; `margin` degrees left to a slowdown.
    """

    index: int
    uuid: str = ""
    name: str = ""
    bus: str = ""
    vbios: str = ""
    instance: int | None = None
    mig: bool = False
    util: float | None = None
    temp: float | None = None
    memory_temp: float | None = None
    power_watts: float | None = None
    used_mib: float | None = None
    total_mib: float | None = None
    sm_clock: float | None = None
    memory_clock: float | None = None
    temp_slowdown: float | None = None
    ecc_corrected: float | None = None
    ecc_uncorrected: float | None = None
    ecc_corrected_ever: float | None = None
    ecc_uncorrected_ever: float | None = None
    pcie_replays: float | None = None
    remapped_correctable: float | None = None
    remapped_uncorrectable: float | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    clock_reasons: int | None = None
    persistence: bool | None = None
    retired_pending: bool | None = None
    pcie_gen: int | None = None
    pcie_gen_max: int | None = None
    pcie_width: int | None = None
    pcie_width_max: int | None = None
    links_up: int | None = None
    links: int | None = None
    link_errors: float | None = None
    margin: float | None = None
    recovery_action: int | None = None
    xid: int | None = None
    xids: int = 0
    processes: list[str] = []


class Host(msgspec.Struct, tag="host"):
    """Everything of one reading."""

    driver: str
    cuda: str
    gpus: list[Gpu]


class Failure(msgspec.Struct, tag="failure"):
    """Why there is no reading. `kind`: library, driver, permission, or other."""

    kind: str
    says: str


Answer = Host | Failure


def read_host(nvml: Any, heard: Mapping[str, tuple[int, int]] | None = None) -> Host:
    """One reading of an initialised library, with the XIDs that were heard by UUID.

    Raises its NVMLError where not even the number of GPUs can be had.
    """
    count = min(int(nvml.nvmlDeviceGetCount()), _MOST_GPUS)
    cuda = _whole(_ask(nvml, "nvmlSystemGetCudaDriverVersion_v2"))
    gpus = [gpu for index in range(count) for gpu in _gpus(nvml, index)]
    for gpu in gpus:
        if gpu.instance is None and (told := (heard or {}).get(gpu.uuid)) is not None:
            gpu.xid, gpu.xids = told
    return Host(
        driver=_text(_ask(nvml, "nvmlSystemGetDriverVersion")),
        cuda=f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else "",
        gpus=gpus,
    )


def failure_of(nvml: Any, error: Exception) -> Failure:
    """What an NVMLError means."""
    kinds = {
        nvml.NVML_ERROR_LIBRARY_NOT_FOUND: "library",
        nvml.NVML_ERROR_DRIVER_NOT_LOADED: "driver",
        nvml.NVML_ERROR_NO_PERMISSION: "permission",
    }
    return Failure(kinds.get(getattr(error, "value", None), "other"), str(error))


def _gpus(nvml: Any, index: int) -> Iterator[Gpu]:
    handle = _ask(nvml, "nvmlDeviceGetHandleByIndex", index)
    if handle is None:
        yield Gpu(index)
        return
    gpu = _gpu(nvml, index, handle)
    gpu.mig = bool(_part(_ask(nvml, "nvmlDeviceGetMigMode", handle), 0))
    yield gpu
    if gpu.mig:
        for place in range(_whole(_ask(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle)) or 0):
            instance = _ask(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", handle, place)
            if instance is not None:
                yield _instance(nvml, gpu, instance)


def _gpu(nvml: Any, index: int, handle: Any) -> Gpu:
    remapped = _ask(nvml, "nvmlDeviceGetRemappedRows", handle)
    pending, failed = _part(remapped, 2), _part(remapped, 3)
    memory = _ask(nvml, "nvmlDeviceGetMemoryInfo", handle, getattr(nvml, "nvmlMemory_v2", None))
    memory = memory or _ask(nvml, "nvmlDeviceGetMemoryInfo", handle)
    persistence, retired = (
        _ask(nvml, call, handle)
        for call in ("nvmlDeviceGetPersistenceMode", "nvmlDeviceGetRetiredPagesPendingStatus")
    )
    power = _number(_ask(nvml, "nvmlDeviceGetPowerUsage", handle))
    links, fields = _links(nvml, handle), _fields(nvml, handle)
    errors = [fields[name] for name in _LINK_ERRORS if name in fields]
    return Gpu(
        index,
        uuid=_text(_ask(nvml, "nvmlDeviceGetUUID", handle)),
        name=_text(_ask(nvml, "nvmlDeviceGetName", handle)),
        bus=_text(getattr(_ask(nvml, "nvmlDeviceGetPciInfo", handle), "busId", "")),
        vbios=_text(_ask(nvml, "nvmlDeviceGetVbiosVersion", handle)),
        util=_number(getattr(_ask(nvml, "nvmlDeviceGetUtilizationRates", handle), "gpu", None)),
        temp=_number(_ask(nvml, "nvmlDeviceGetTemperature", handle, nvml.NVML_TEMPERATURE_GPU)),
        memory_temp=_memory_temp(fields),
        power_watts=None if power is None else power / 1000,
        used_mib=_mib(memory, "used"),
        total_mib=_mib(memory, "total"),
        sm_clock=_number(_ask(nvml, "nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_SM)),
        memory_clock=_number(_ask(nvml, "nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_MEM)),
        temp_slowdown=_number(
            _ask(
                nvml,
                "nvmlDeviceGetTemperatureThreshold",
                handle,
                getattr(nvml, "NVML_TEMPERATURE_THRESHOLD_SLOWDOWN", None),
            )
        ),
        ecc_corrected=_ecc(nvml, handle, "CORRECTED", "VOLATILE"),
        ecc_uncorrected=_ecc(nvml, handle, "UNCORRECTED", "VOLATILE"),
        ecc_corrected_ever=_ecc(nvml, handle, "CORRECTED", "AGGREGATE"),
        ecc_uncorrected_ever=_ecc(nvml, handle, "UNCORRECTED", "AGGREGATE"),
        persistence=None if persistence is None else bool(persistence),
        retired_pending=None if retired is None else bool(retired),
        pcie_replays=_number(_ask(nvml, "nvmlDeviceGetPcieReplayCounter", handle)),
        remapped_correctable=_number(_part(remapped, 0)),
        remapped_uncorrectable=_number(_part(remapped, 1)),
        remap_pending=None if pending is None else bool(pending),
        remap_failed=None if failed is None else bool(failed),
        clock_reasons=_clock_reasons(nvml, handle),
        pcie_gen=_whole(_ask(nvml, "nvmlDeviceGetCurrPcieLinkGeneration", handle)),
        pcie_gen_max=_whole(_ask(nvml, "nvmlDeviceGetMaxPcieLinkGeneration", handle)),
        pcie_width=_whole(_ask(nvml, "nvmlDeviceGetCurrPcieLinkWidth", handle)),
        pcie_width_max=_whole(_ask(nvml, "nvmlDeviceGetMaxPcieLinkWidth", handle)),
        links_up=sum(links) if links else None,
        links=len(links) or None,
        link_errors=sum(errors) if errors else None,
        margin=_number(_ask(nvml, "nvmlDeviceGetMarginTemperature", handle)),
        recovery_action=_whole(fields.get(_RECOVERY)),
        processes=_processes(nvml, handle),
    )


def _instance(nvml: Any, parent: Gpu, handle: Any) -> Gpu:
    """A MIG instance has memory, a name and processes of its own; heat, power and errors are its GPU's."""
    memory = _ask(nvml, "nvmlDeviceGetMemoryInfo", handle)
    return Gpu(
        parent.index,
        uuid=parent.uuid,
        name=_text(_ask(nvml, "nvmlDeviceGetName", handle)),
        bus=parent.bus,
        instance=_whole(_ask(nvml, "nvmlDeviceGetGpuInstanceId", handle)) or 0,
        used_mib=_mib(memory, "used"),
        total_mib=_mib(memory, "total"),
        processes=_processes(nvml, handle),
    )


def _fields(nvml: Any, handle: Any) -> dict[str, float]:
    """What is asked for by number, by the number's name: all in one call, each with a success of its own."""
    wanted = [name for name in (_MEMORY_TEMP, _RECOVERY, *_LINK_ERRORS) if hasattr(nvml, name)]
    told = _ask(nvml, "nvmlDeviceGetFieldValues", handle, [getattr(nvml, name) for name in wanted])
    pairs = zip(wanted, told if told is not None else (), strict=False)
    return {name: _value(field) for name, field in pairs if field.nvmlReturn == 0}


def _value(field: Any) -> float:
    """A field's value by its type, which NVML gives beside it."""
    part = _VALUE_PARTS.get(field.valueType, "uiVal")
    found: float = getattr(field.value, part)
    return found


def _memory_temp(fields: Mapping[str, float]) -> float | None:
    """HBM cards have it. One without a sensor says 0."""
    found = fields.get(_MEMORY_TEMP)
    return None if found is None or found == _NO_MEMORY_SENSOR else float(found)


def _clock_reasons(nvml: Any, handle: Any) -> int | None:
    """By the call's new name, and by the old one where the driver does not know it. No bit at all is an answer."""
    told = _whole(_ask(nvml, "nvmlDeviceGetCurrentClocksEventReasons", handle))
    if told is not None:
        return told
    return _whole(_ask(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", handle))


def _ecc(nvml: Any, handle: Any, kind: str, span: str) -> float | None:
    arguments = [getattr(nvml, name, None) for name in (f"NVML_MEMORY_ERROR_TYPE_{kind}", f"NVML_{span}_ECC")]
    if None in arguments:
        return None
    return _number(_ask(nvml, "nvmlDeviceGetTotalEccErrors", handle, *arguments))


def _links(nvml: Any, handle: Any) -> list[bool]:
    states = [_ask(nvml, "nvmlDeviceGetNvLinkState", handle, link) for link in range(_LINKS)]
    return [bool(state) for state in states if state is not None]


def _processes(nvml: Any, handle: Any) -> list[str]:
    calls = ("ComputeRunningProcesses", "MPSComputeRunningProcesses", "GraphicsRunningProcesses")
    found = [process for call in calls for process in _ask(nvml, f"nvmlDeviceGet{call}", handle) or ()]
    pids = dict.fromkeys(process.pid for process in found)  # one that computes and draws is told twice
    return [f"{_name(nvml, pid)} (pid {pid})".lstrip() for pid in pids]


def _name(nvml: Any, pid: int) -> str:
    return _text(_ask(nvml, "nvmlSystemGetProcessName", pid)).rpartition("/")[2]


def _ask(nvml: Any, call: str, *arguments: Any) -> Any:
    """The answer of one call; None where this driver, card or user can't have it."""
    function = getattr(nvml, call, None)
    if function is None:
        return None
    try:
        return function(*arguments)
    except nvml.NVMLError:
        return None


def _part(found: Any, place: int) -> Any:
    return found[place] if found is not None and len(found) > place else None


def _mib(memory: Any, name: str) -> float | None:
    found = _number(getattr(memory, name, None))
    return None if found is None else found / _MIB


def _number(found: Any) -> float | None:
    return float(found) if isinstance(found, int | float) else None


def _whole(found: Any) -> int | None:
    return found if isinstance(found, int) else None


def _text(found: Any) -> str:
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found or "")
