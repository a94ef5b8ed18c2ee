"""The gate checks that telemetry decides: every GPU reports, none shows a fault. Stale or silent is UNKNOWN, never fine.

A fault that is shown counts however old its sample is; a clean value counts only while it is fresh and newer than the
node's becoming ready.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from fleet import xid
from fleet.category import HOT_CELSIUS
from fleet.checks import Check, Scene
from fleet.gpu_rows import devices, knows
from fleet.health import Finding, Verdict
from fleet.telemetry import GpuTelemetry
from fleet.text import clean

_LIMIT = 200
_NAMED = 4


def telemetry(scene: Scene) -> Finding:
    """Every GPU that the node should have has reported, lately."""
    expected, wanted = scene.expected_gpus, f"within {scene.policy.telemetry_fresh.total_seconds():g} s"
    if expected == 0:
        return _read(scene, "telemetry", Verdict.PASS, "no GPUs expected", "none")
    seen = _reporting(scene)
    if expected is None:
        clears = "expected_gpus in the category's configuration"
        return _read(scene, "telemetry", Verdict.UNKNOWN, _reports(seen), "a known number of GPUs", clears)
    threshold = f"{expected} GPUs {wanted}"
    if seen == expected:
        return _read(scene, "telemetry", Verdict.PASS, _reports(seen), threshold)
    value = _reports(seen) if seen or not scene.readings.why else scene.readings.why
    clears = _source_or("telemetry", scene, "the exporter reporting every GPU")
    return _read(scene, "telemetry", Verdict.UNKNOWN, value, threshold, clears)


def xids(scene: Scene) -> Finding:
    """No GPU shows an XID that the site's rules forbid. The value is the last code, kept until the exporter starts anew."""
    threshold = "no forbidden XID"
    forbidden = _forbidden(scene)
    if forbidden:
        code = max(forbidden)
        on = _named(forbidden[code])
        clears = f"{xid.lookup(code).asks}; then a boot, or a reset and a restart of the exporter"
        return _read(
            scene, "xid", Verdict.FAIL, f"{xid.lookup(code).label}{on}, age unknown", threshold, clears
        )
    codes = _codes(scene)
    if codes is None:
        clears = _source_or(
            "xid", scene, "DCGM_FI_DEV_XID_ERRORS of every GPU, or the category not needing this check"
        )
        return _read(
            scene, "xid", Verdict.UNKNOWN, scene.readings.why or "not read of every GPU", threshold, clears
        )
    severity_of = scene.policy.severity_of_xid
    worst = xid.lookup(xid.worst(codes, severity_of) or 0)
    if worst.code == 0:
        return _read(scene, "xid", Verdict.PASS, "none", threshold)
    light = severity_of(worst.code) is xid.Severity.INFO
    value = f"{worst.label}, age unknown"
    return _read(
        scene, "xid", Verdict.PASS if light else Verdict.WARN, value, threshold, "" if light else worst.asks
    )


def row_remap(scene: Scene) -> Finding:
    """No GPU has failed to remap a row of its memory. Products without row remapping export nothing."""
    failed = [gpu for gpu in scene.readings.gpus if gpu.row_remap_failure]
    summed = scene.readings.node.row_remap_failure if scene.readings.node is not None else None
    if failed or summed:
        value = f"row remapping failed{_named(failed)}"
        return _read(scene, "row-remap", Verdict.FAIL, value, "none failed", "replacing the GPU")
    fresh = _fresh(scene)
    if fresh and all(gpu.row_remap_failure is False for gpu in fresh):
        return _read(scene, "row-remap", Verdict.PASS, "none failed", "none failed")
    return _read(
        scene,
        "row-remap",
        Verdict.UNKNOWN,
        "not exported",
        "none failed",
        "DCGM_FI_DEV_ROW_REMAP_FAILURE exported",
    )


def temperature(scene: Scene) -> Finding:
    """No GPU is hotter than the category's limit."""
    limit = HOT_CELSIUS if scene.limit is None else scene.limit
    threshold = f"below {limit:g} °C"
    temps = [(gpu.temp, gpu) for gpu in _fresh(scene) if gpu.temp is not None]
    if not temps:
        return _read(
            scene,
            "temperature",
            Verdict.UNKNOWN,
            "not read",
            threshold,
            "the exporter reporting temperatures",
        )
    hottest = max(temp for temp, _ in temps)
    hot = [gpu for temp, gpu in temps if temp >= limit]
    if hot:
        value = f"{hottest:g} °C{_named(hot)}"
        return _read(scene, "temperature", Verdict.WARN, value, threshold, "cooling, or less load")
    return _read(scene, "temperature", Verdict.PASS, f"{hottest:g} °C", threshold)


FROM_TELEMETRY: Mapping[str, Check] = {
    "telemetry": telemetry,
    "xid": xids,
    "row-remap": row_remap,
    "temperature": temperature,
}
"""The checks that telemetry decides, by name."""

NOT_NEEDED = frozenset({"row-remap", "temperature"})
"""Checks that may be unknown, unless the category needs them: not every product or exporter has their metric."""


def _read(
    scene: Scene, check: str, verdict: Verdict, value: str, threshold: str, clears: str = ""
) -> Finding:
    """A finding from the telemetry source, dated by the oldest sample it rests on."""
    at = scene.readings.node.at if scene.readings.node is not None else None
    source = scene.readings.source or "telemetry"
    return Finding(check, verdict, clean(value, _LIMIT), threshold, source, at, clean(clears, _LIMIT))


def _source_or(check: str, scene: Scene, clears: str) -> str:
    """What clears a check that telemetry decides: where no source is configured, that, or doing without."""
    if scene.readings.source:
        return clears
    without = f'[category."{scene.node.category or "*"}".checks.{check}]'
    return f"--prometheus or --dcgm naming a source, or needed = false under {without}"


def _is_current(scene: Scene, at: datetime | None) -> bool:
    if at is None or scene.now - at > scene.policy.telemetry_fresh:
        return False
    since = scene.ready_since
    return since is None or at >= since or since > scene.now  # a time to come is another clock's


def _fresh(scene: Scene) -> list[GpuTelemetry]:
    return [gpu for gpu in scene.readings.gpus if _is_current(scene, gpu.at)]


def _reporting(scene: Scene) -> int | None:
    """How many GPUs have told something lately, every MIG instance of each; None where that can't be said."""
    if scene.readings.gpus:
        fresh = [instances for instances in devices(scene.readings.gpus) if _all_current(scene, instances)]
        return sum(any(map(knows, instances)) for instances in fresh)
    summed = scene.readings.node
    return summed.gpus_seen if summed is not None and _is_current(scene, summed.at) else None


def _all_current(scene: Scene, instances: Sequence[GpuTelemetry]) -> bool:
    return all(_is_current(scene, gpu.at) for gpu in instances)


def _forbidden(scene: Scene) -> dict[int, list[GpuTelemetry]]:
    """Forbidden codes with the GPUs that show them, fresh or not; a sum of the node names none."""
    found: dict[int, list[GpuTelemetry]] = {}
    for gpu in scene.readings.gpus:
        if gpu.xid in scene.policy.forbidden_xids and gpu.xid is not None:
            found.setdefault(gpu.xid, []).append(gpu)
    summed = scene.readings.node
    if (
        not found
        and summed is not None
        and summed.xid is not None
        and summed.xid in scene.policy.forbidden_xids
    ):
        found[summed.xid] = []
    return found


def _codes(scene: Scene) -> list[int] | None:
    """The last code of every GPU that the node should have; None unless each of them told it lately."""
    expected = scene.expected_gpus
    if expected is None:
        return None
    current = [instances for instances in devices(scene.readings.gpus) if _all_current(scene, instances)]
    codes = [gpu.xid for instances in current for gpu in instances]
    known = [code for code in codes if code is not None]
    if len(current) < expected or len(known) < len(codes):
        return None
    return [*known, 0]


def _named(gpus: Sequence[GpuTelemetry]) -> str:
    names = list(dict.fromkeys(gpu.gpu or gpu.uuid for gpu in gpus))
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f" on GPU {', '.join(names[:_NAMED])}{more}"


def _reports(seen: int | None) -> str:
    return "none" if not seen else f"{seen} GPU reporting" if seen == 1 else f"{seen} GPUs reporting"
