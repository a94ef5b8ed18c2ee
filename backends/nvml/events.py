"""Hears XIDs as they happen: NVML keeps none, but tells of them to whoever listens. Runs in the child."""

from __future__ import annotations

from typing import Any

_AT_ONCE = 256  # events taken at one reading; a GPU in a storm of them waits for the next


class XidWatch:
    """The last XID of each GPU since it was made, by UUID, and how many there were. Without the right or the means: none."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._events: Any = None
        self.heard: dict[str, tuple[int, int]] = {}
        if getattr(nvml, "nvmlEventSetCreate", None) is None:
            return
        try:
            self._events = nvml.nvmlEventSetCreate()
            count = int(nvml.nvmlDeviceGetCount())
        except nvml.NVMLError:
            return
        for index in range(count):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, self._events)
            except nvml.NVMLError:
                continue  # a card that tells of none, or is lost

    def listen(self) -> None:
        """Take what happened since the last time, without waiting."""
        if self._events is None:
            return
        for _ in range(_AT_ONCE):
            try:
                event = self._nvml.nvmlEventSetWait_v2(self._events, 0)
                uuid = self._nvml.nvmlDeviceGetUUID(event.device)
            except self._nvml.NVMLError:
                return  # nothing more
            if event.eventType & self._nvml.nvmlEventTypeXidCriticalError:
                name = uuid.decode("ascii", "replace") if isinstance(uuid, bytes) else str(uuid)
                self.heard[name] = int(event.eventData), self.heard.get(name, (0, 0))[1] + 1
