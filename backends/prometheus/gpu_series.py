"""Which GPU a series of the past is of: its UUID, whatever number it had at the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backends.prometheus.answers import Series


def device_of(labels: Mapping[str, str]) -> tuple[str, str]:
    """What stays the same of a GPU through reboots, and its MIG instance; its number where it has no UUID."""
    return _uuid(labels) or labels.get("gpu", ""), labels.get("GPU_I_ID", "")


def numbers_of(series: Iterable[Series]) -> Mapping[tuple[str, str], str]:
    """The number that each GPU had last, or its UUID where it never had one."""
    newest: dict[tuple[str, str], tuple[float, str]] = {}
    for each in series:
        device, number = device_of(each.metric), each.metric.get("gpu", "")
        last = each.values[-1][0] if each.values else 0.0
        if number and last >= newest.get(device, (0.0, ""))[0]:
            newest[device] = last, number
        newest.setdefault(device, (0.0, device[0]))
    return {device: number for device, (_, number) in newest.items()}


def _uuid(labels: Mapping[str, str]) -> str:
    return labels.get("UUID") or labels.get("uuid", "")
