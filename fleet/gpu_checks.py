"""The gate checks that telemetry decides: every GPU reports, none shows a fault. Stale or silent is UNKNOWN, never fine.

A fault that is shown counts however old its sample is; a clean value counts only while it is fresh and newer than the
node's becoming ready.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from fleet import replays, xid
from fleet.checks import Check, Scene
from fleet.gpu_faults import FROM_MEASURES, vbios
from fleet.gpu_rows import devices, knows
from fleet.gpu_scene import all_current, is_current, on_gpus, read, source_or
from fleet.health import Finding, Verdict
from fleet.telemetry import GpuTelemetry


def telemetry(scene: Scene) -> Finding:
    """Every GPU that the node should have has reported, lately."""
    expected, wanted = scene.expected_gpus, f"within {scene.policy.telemetry_fresh.total_seconds():g} s"
    if expected == 0:
        return read(scene, "telemetry", Verdict.PASS, "no GPUs expected", "none")
    seen = _reporting(scene)
    if expected is None:
        clears = "expected_gpus in the category's configuration"
        return read(scene, "telemetry", Verdict.UNKNOWN, _reports(seen), "a known number of GPUs", clears)
    threshold = f"{expected} GPUs {wanted}"
    if seen == expected:
        return read(scene, "telemetry", Verdict.PASS, _reports(seen), threshold)
    value = _reports(seen) if seen or not scene.readings.why else scene.readings.why
    clears = source_or("telemetry", scene, "the exporter reporting every GPU")
    return read(scene, "telemetry", Verdict.UNKNOWN, value, threshold, clears)


def xids(scene: Scene) -> Finding:
    """No GPU shows an XID that the site's rules forbid. The value is the last code, kept until the exporter starts anew.

    With a window, a forbidden code that is known to be older than it only warns; one of unknown age counts.
    """
    threshold = "no forbidden XID" + (f" within {_span(scene.window)}" if scene.window else "")
    forbidden, codes = _forbidden(scene), _codes(scene)
    if forbidden:
        code, verdict = _hardest(scene, forbidden)
        says = f"{xid.lookup(code).label}{on_gpus(forbidden[code])}, {_age(scene, forbidden[code])}"
        clears = f"{xid.lookup(code).asks}; then a boot, or a reset and a restart of the exporter"
        finding = read(scene, "xid", verdict, says, threshold, clears)
        return finding if codes is not None else replace(finding, unread="not read of every GPU")
    if codes is None:
        clears = source_or(
            "xid", scene, "DCGM_FI_DEV_XID_ERRORS of every GPU, or the category not needing this check"
        )
        value = scene.readings.why or "not read of every GPU"
        return read(scene, "xid", Verdict.UNKNOWN, value, threshold, clears)
    severity_of = scene.policy.severity_of_xid
    worst = xid.lookup(xid.worst(codes, severity_of) or 0)
    if worst.code == 0:
        return read(scene, "xid", Verdict.PASS, "none", threshold)
    light = severity_of(worst.code) is xid.Severity.INFO
    showing = [gpu for gpu in scene.readings.gpus if gpu.xid == worst.code]
    value = f"{worst.label}, {_age(scene, showing)}"
    return read(scene, "xid", Verdict.PASS if light else Verdict.WARN, value, threshold, worst.asks)


def _hardest(scene: Scene, forbidden: Mapping[int, Sequence[GpuTelemetry]]) -> tuple[int, Verdict]:
    """The code to name: one that counts before one that has aged out of the window."""
    counting = [code for code, gpus in forbidden.items() if not _aged_out(scene, gpus)]
    return (max(counting), Verdict.FAIL) if counting else (max(forbidden), Verdict.WARN)


def _aged_out(scene: Scene, gpus: Sequence[GpuTelemetry]) -> bool:
    times = [gpu.xid_at for gpu in gpus]
    known = [at for at in times if at is not None]
    if scene.window is None or not times or len(known) < len(times):
        return False
    return scene.now - max(known) > scene.window


def _age(scene: Scene, gpus: Sequence[GpuTelemetry]) -> str:
    """`4m ago` of the youngest; unknown where any is."""
    times = [gpu.xid_at for gpu in gpus]
    known = [at for at in times if at is not None]
    if not times or len(known) < len(times):
        return "age unknown"
    return f"{_span(scene.now - max(known))} ago"


def _span(span: timedelta) -> str:
    """`40s`, `12m`, `5h`, `3d`, cut off."""
    seconds = max(0, int(span.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


FROM_TELEMETRY: Mapping[str, Check] = {
    "telemetry": telemetry,
    "xid": xids,
    **FROM_MEASURES,
    replays.CHECK: replays.pcie_replays,
    "vbios": vbios,
}
"""The checks that telemetry decides, by name."""


def _reporting(scene: Scene) -> int | None:
    """How many GPUs have told something lately, every MIG instance of each; None where that can't be said."""
    if scene.readings.gpus:
        fresh = [instances for instances in devices(scene.readings.gpus) if all_current(scene, instances)]
        return sum(any(map(knows, instances)) for instances in fresh)
    summed = scene.readings.node
    return summed.gpus_seen if summed is not None and is_current(scene, summed.at) else None


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
    current = [instances for instances in devices(scene.readings.gpus) if all_current(scene, instances)]
    codes = [gpu.xid for instances in current for gpu in instances]
    known = [code for code in codes if code is not None]
    if len(current) < expected or len(known) < len(codes):
        return None
    return [*known, 0]


def _reports(seen: int | None) -> str:
    return "none" if not seen else f"{seen} GPU reporting" if seen == 1 else f"{seen} GPUs reporting"
