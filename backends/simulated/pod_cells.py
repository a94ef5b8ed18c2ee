"""A pod's row in a Table: above all the STATUS column, which the API server sums up from many fields.

The order of precedence is that of Kubernetes' printer: the phase, then `status.reason`, then init containers, then
containers, then deletion.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from backends.simulated.objects import Json
from backends.simulated.spans import age

NONE = "<none>"


def pod_cells(pod: Json, now: datetime) -> list[object]:
    """Name, Ready, Status, Restarts, Age, then the wide ones."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    containers = status.get("containerStatuses") or []
    ready = sum(bool(each.get("ready")) for each in containers)
    return [
        pod["metadata"]["name"],
        f"{ready}/{len(spec.get('containers') or [])}",
        _status(pod, spec, status),
        _restarts(containers, now),
        age(pod["metadata"].get("creationTimestamp"), now),
        status.get("podIP") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        NONE,
    ]


def _status(pod: Json, spec: Json, status: Json) -> str:
    word: str = status.get("reason") or status.get("phase") or "Unknown"
    initialising = _init_word(spec, status.get("initContainerStatuses") or [])
    if initialising:
        word = initialising
    else:
        for container in reversed(status.get("containerStatuses") or []):
            word = _container_word(container.get("state") or {}) or word
        if word == "Completed" and any(_running(each) for each in status.get("containerStatuses") or []):
            word = "Running" if _is_ready(status) else "NotReady"
    if pod["metadata"].get("deletionTimestamp"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return word


def _init_word(spec: Json, statuses: Iterable[Json]) -> str:
    for place, container in enumerate(statuses):
        state = container.get("state") or {}
        ended = state.get("terminated")
        if ended and ended.get("exitCode", 0) == 0:
            continue
        reason = _container_word(state)
        if reason and reason != "PodInitializing":
            return f"Init:{reason}"
        return f"Init:{place}/{len(spec.get('initContainers') or [])}"
    return ""


def _container_word(state: Json) -> str:
    if waiting := state.get("waiting"):
        return str(waiting.get("reason") or "")
    if ended := state.get("terminated"):
        signal = ended.get("signal")
        return str(
            ended.get("reason") or (f"Signal:{signal}" if signal else f"ExitCode:{ended.get('exitCode', 0)}")
        )
    return ""


def _running(container: Json) -> bool:
    return bool(container.get("ready") and "running" in (container.get("state") or {}))


def _is_ready(status: Json) -> bool:
    conditions = status.get("conditions") or []
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _restarts(containers: Iterable[Json], now: datetime) -> str:
    count = sum(each.get("restartCount", 0) for each in containers)
    last = [
        ended.get("finishedAt")
        for each in containers
        if (ended := (each.get("lastState") or {}).get("terminated"))
    ]
    latest = max((each for each in last if each), default=None)
    return f"{count} ({age(latest, now)} ago)" if count and latest else str(count)
