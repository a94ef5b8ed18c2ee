"""Stands in for pynvml at the boundary: the calls we make, over cards that a test describes. Also a child that uses it.

`python -m tests.unit.nvml.stand_in MODE` serves as `backends.nvml.child` does: `healthy`; `missing` (no library); `hang` (the
driver never returns); `hang-later` (the second reading hangs); `vanishes` (the driver is unloaded before the second); `xid` (a GPU
has an XID before every reading); `garbage`; `dies`.
"""

# ruff: noqa: N802 - the names of calls are NVML's own

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from backends.nvml.child import serve

MIB = 1 << 20
NOT_SUPPORTED = 3
GPU_IS_LOST = 15


class NvmlError(Exception):
    """pynvml's NVMLError: its text is NVML's, its `value` the code."""

    def __init__(self, value: int, says: str = "Not Supported") -> None:
        super().__init__(says)
        self.value = value


@dataclass
class Card:
    """One GPU. A field that is None is not supported by this card."""

    uuid: str = "GPU-a"
    name: str = "NVIDIA H100 80GB HBM3"
    util: int | None = 42
    temp: int | None = 61
    memory_temp: int | None = 70
    power_mw: int | None = 412_500
    used: int | None = 1000 * MIB
    total: int | None = 81_559 * MIB
    sm_clock: int | None = 1980
    memory_clock: int | None = 2619
    ecc: int | None = 0
    replays: int | None = 3
    remapped: tuple[int, int, int, int] | None = (1, 0, 0, 0)
    reasons: int | None = 0x4
    width: tuple[int, int] | None = (16, 16)
    generation: tuple[int, int] | None = (5, 5)
    slowdown: int | None = 87
    ever: tuple[int, int] | None = (12, 1)
    persistence: int | None = 1
    links: Sequence[int] = (1,) * 18
    pids: Sequence[int] = ()
    mig: bool | None = False
    instances: Sequence[Instance] = ()
    margin: int | None = None
    recovery: int | None = 0
    link_errors: int | None = 0
    drawing: Sequence[int] = ()
    vbios: str = "96.00.74.00.1A"
    lost: bool = False


@dataclass
class Instance:
    """One MIG instance."""

    gi: int
    name: str = "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    used: int = 100 * MIB
    total: int = 9_728 * MIB
    pids: Sequence[int] = ()


def told(value: Any) -> Any:
    if value is None:
        raise NvmlError(NOT_SUPPORTED)
    return value


@dataclass
class Library:
    """The module `pynvml` as far as it is called. `init` and `count` may raise or hang."""

    cards: Sequence[Card] = (Card(), Card("GPU-b"))
    init: Callable[[], None] = lambda: None
    count: Callable[[], None] = lambda: None
    inits: list[int] = field(default_factory=list)
    events: list[tuple[int, int]] = field(default_factory=list)  # XIDs that happened: index of the card, code
    registered: list[str] = field(default_factory=list)
    events_again: Sequence[tuple[int, int]] = ()  # that happen before every reading

    NVMLError = NvmlError
    NVML_ERROR_LIBRARY_NOT_FOUND = 12
    NVML_ERROR_DRIVER_NOT_LOADED = 9
    NVML_ERROR_NO_PERMISSION = 4
    NVML_TEMPERATURE_GPU = 0
    NVML_CLOCK_SM = 1
    NVML_CLOCK_MEM = 2
    NVML_MEMORY_ERROR_TYPE_CORRECTED = 0
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
    NVML_VOLATILE_ECC = 0
    NVML_AGGREGATE_ECC = 1
    NVML_TEMPERATURE_THRESHOLD_SLOWDOWN = 1
    NVML_FI_DEV_MEMORY_TEMP = 82
    NVML_FI_DEV_GET_GPU_RECOVERY_ACTION = 230
    NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL = 38
    NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL = 45
    NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL = 52
    NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL = 59
    nvmlEventTypeXidCriticalError = 8  # noqa: N815 - NVML's own name
    nvmlMemory_v2 = 0x02000028  # noqa: N815 - NVML's own name

    def nvmlInit(self) -> None:
        self.inits.append(1)
        self.init()

    def nvmlDeviceGetCount(self) -> int:
        self.count()
        self.events.extend(self.events_again)
        return len(self.cards)

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.133.20"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return 12_080

    def nvmlSystemGetProcessName(self, pid: int) -> str:
        return "/usr/bin/trainer"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Card:
        if self.cards[index].lost:
            raise NvmlError(GPU_IS_LOST, "GPU is lost")
        return self.cards[index]

    def nvmlDeviceGetUUID(self, card: Card) -> str:
        return card.uuid

    def nvmlDeviceGetName(self, card: Card | Instance) -> str:
        return card.name

    def nvmlDeviceGetPciInfo(self, card: Card) -> Any:
        return SimpleNamespace(busId="00000000:18:00.0")

    def nvmlDeviceGetVbiosVersion(self, card: Card) -> str:
        return card.vbios

    def nvmlDeviceGetUtilizationRates(self, card: Card) -> Any:
        return SimpleNamespace(gpu=told(card.util), memory=0)

    def nvmlDeviceGetTemperature(self, card: Card, sensor: int) -> int:
        return int(told(card.temp))

    def nvmlDeviceGetFieldValues(self, card: Card, fields: Sequence[int]) -> Any:
        by_number = {
            82: card.memory_temp,
            230: card.recovery,
            **dict.fromkeys((38, 45, 52, 59), card.link_errors),
        }
        return [_field(by_number[number], wide=number in (38, 45, 52, 59)) for number in fields]

    def nvmlDeviceGetMarginTemperature(self, card: Card) -> int:
        return int(told(card.margin))

    def nvmlDeviceGetGraphicsRunningProcesses(self, card: Card | Instance) -> Any:
        return [SimpleNamespace(pid=pid) for pid in getattr(card, "drawing", ())]

    def nvmlEventSetCreate(self) -> object:
        return self.events

    def nvmlDeviceRegisterEvents(self, card: Card, kinds: int, events: object) -> None:
        assert (kinds, events) == (self.nvmlEventTypeXidCriticalError, self.events)
        if card.power_mw is None:
            raise NvmlError(NOT_SUPPORTED)
        self.registered.append(card.uuid)

    def nvmlEventSetWait_v2(self, events: object, milliseconds: int) -> Any:
        assert milliseconds == 0
        if not self.events:
            raise NvmlError(10, "Timeout")
        index, code = self.events.pop(0)
        return SimpleNamespace(device=self.cards[index], eventType=8, eventData=code)

    def nvmlDeviceGetPowerUsage(self, card: Card) -> int:
        return int(told(card.power_mw))

    def nvmlDeviceGetMemoryInfo(self, card: Card | Instance, version: int | None = None) -> Any:
        return SimpleNamespace(used=told(card.used), total=told(card.total))

    def nvmlDeviceGetClockInfo(self, card: Card, clock: int) -> int:
        return int(told(card.sm_clock if clock == self.NVML_CLOCK_SM else card.memory_clock))

    def nvmlDeviceGetTotalEccErrors(self, card: Card, kind: int, since: int) -> int:
        return int(told(card.ever)[kind] if since == self.NVML_AGGREGATE_ECC else told(card.ecc))

    def nvmlDeviceGetTemperatureThreshold(self, card: Card, threshold: int) -> int:
        return int(told(card.slowdown))

    def nvmlDeviceGetPersistenceMode(self, card: Card) -> int:
        return int(told(card.persistence))

    def nvmlDeviceGetPcieReplayCounter(self, card: Card) -> int:
        return int(told(card.replays))

    def nvmlDeviceGetRemappedRows(self, card: Card) -> tuple[int, int, int, int]:
        rows: tuple[int, int, int, int] = told(card.remapped)
        return rows

    def nvmlDeviceGetCurrentClocksEventReasons(self, card: Card) -> int:
        return int(told(card.reasons))

    def nvmlDeviceGetCurrPcieLinkWidth(self, card: Card) -> int:
        return int(told(card.width)[0])

    def nvmlDeviceGetMaxPcieLinkWidth(self, card: Card) -> int:
        return int(told(card.width)[1])

    def nvmlDeviceGetCurrPcieLinkGeneration(self, card: Card) -> int:
        return int(told(card.generation)[0])

    def nvmlDeviceGetMaxPcieLinkGeneration(self, card: Card) -> int:
        return int(told(card.generation)[1])

    def nvmlDeviceGetNvLinkState(self, card: Card, link: int) -> int:
        return int(told(card.links[link] if link < len(card.links) else None))

    def nvmlDeviceGetComputeRunningProcesses(self, card: Card | Instance) -> Any:
        return [SimpleNamespace(pid=pid) for pid in card.pids]

    def nvmlDeviceGetMigMode(self, card: Card) -> list[int]:
        return [int(told(card.mig)), 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, card: Card) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: Card, index: int) -> Instance:
        if index >= len(card.instances):
            raise NvmlError(6, "Not Found")
        return card.instances[index]

    def nvmlDeviceGetGpuInstanceId(self, instance: Instance) -> int:
        return instance.gi


def _field(value: int | None, *, wide: bool) -> Any:
    """A field's answer as NVML gives it: its value by its type, the other members of the union rubbish."""
    held = SimpleNamespace(
        **{"uiVal": 4_294_967_295, "ullVal": 4_294_967_295, "ullVal" if wide else "uiVal": value or 0}
    )
    return SimpleNamespace(
        nvmlReturn=NOT_SUPPORTED if value is None else 0, valueType=3 if wide else 1, value=held
    )


def missing() -> None:
    raise NvmlError(12, "NVML Shared Library Not Found")


def hang() -> None:
    threading.Event().wait()


def unloaded() -> None:
    raise NvmlError(9, "Driver Not Loaded")


class _Later:
    """Well for one reading and the counting before it, and from then on as `then` says."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._times = 0
        self._then = then

    def __call__(self) -> None:
        self._times += 1
        if self._times > 2:
            self._then()


def main(mode: str) -> None:
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    if mode == "dies":
        stdin.readline()
        os._exit(3)
    if mode == "garbage":
        stdin.readline()
        stdout.write(b"\xff{not json\n")
        stdout.flush()
        stdin.readline()
        return
    libraries = {
        "healthy": Library(),
        "missing": Library(init=missing),
        "hang": Library(count=hang),
        "hang-later": Library(count=_Later(hang)),
        "vanishes": Library(count=_Later(unloaded)),
        "xid": Library(events_again=[(1, 63)]),
    }
    serve(libraries[mode], stdin, stdout)


if __name__ == "__main__":
    main(sys.argv[1])
