"""What the checks of telemetry share: which samples are about now, how GPUs are named, how a finding is dated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from fleet.check_catalogue import CATALOGUE
from fleet.checks import Scene
from fleet.gpu_rows import devices
from fleet.health import Finding, Verdict
from fleet.telemetry import GpuTelemetry
from fleet.text import clean

_LIMIT = 200
_NAMED = 4


def read(scene: Scene, check: str, verdict: Verdict, value: str, threshold: str, clears: str = "") -> Finding:
    """A finding from the telemetry source, dated by the oldest sample it rests on; a pass needs nothing to clear it."""
    at = scene.readings.node.at if scene.readings.node is not None else None
    source = scene.readings.source or "telemetry"
    if verdict is not Verdict.PASS:
        clears = clears or CATALOGUE[check].clears
    return Finding(
        check, verdict, clean(value, _LIMIT), clean(threshold, _LIMIT), source, at, clean(clears, _LIMIT)
    )


def silent(scene: Scene, check: str, threshold: str, *, told: int, ever: bool) -> Finding:
    """UNKNOWN: told by `told` of the GPUs only; by none lately though `ever`; or exported by nobody, which says nothing."""
    none_lately = "too old" if ever else scene.readings.why or "not exported"
    value = f"told by {told} of {expected(scene)} GPUs" if told else none_lately
    clears = f"{CATALOGUE[check].reads.replace('`', '')} of every GPU, or the category not needing this check"
    finding = read(scene, check, Verdict.UNKNOWN, value, threshold, clears)
    return replace(finding, absent=not (told or ever))


def of_some(scene: Scene, finding: Finding, told: int) -> Finding:
    """A fault that was found while only `told` of the GPUs tell lately: what the others would say is not known."""
    every = expected(scene)
    if told >= max(1, every):
        return finding
    return replace(finding, unread=f"told by {told} of {every} GPUs")


def no_limit(scene: Scene, check: str, value: str) -> Finding:
    """UNKNOWN, which says nothing: there is a value, and no threshold for it."""
    clears = f'a limit under [category."{scene.node.category or "*"}".checks.{check}]'
    finding = read(scene, check, Verdict.UNKNOWN, value, "no limit declared", clears)
    return replace(finding, absent=True)


def source_or(check: str, scene: Scene, clears: str) -> str:
    """What clears a check that telemetry decides: where no source is configured, that, or doing without."""
    if scene.readings.source:
        return clears
    without = f'[category."{scene.node.category or "*"}".checks.{check}]'
    return f"--prometheus or --dcgm naming a source, or needed = false under {without}"


def expected(scene: Scene) -> int:
    """How many GPUs must tell: those the node should have, else those it shows."""
    return len(devices(scene.readings.gpus)) if scene.expected_gpus is None else scene.expected_gpus


def is_current(scene: Scene, at: datetime | None) -> bool:
    """Whether a sample is fresh, and newer than the node's becoming ready."""
    if at is None or scene.now - at > scene.policy.telemetry_fresh:
        return False
    since = scene.ready_since
    return since is None or at >= since or since > scene.now  # a time to come is another clock's


def all_current(scene: Scene, instances: Sequence[GpuTelemetry]) -> bool:
    """Whether every MIG instance of a GPU has told something lately."""
    return all(is_current(scene, gpu.at) for gpu in instances)


def on_gpus(gpus: Sequence[GpuTelemetry]) -> str:
    """` on GPU 1, 2 and 3 more`; empty where none is named."""
    names = list(dict.fromkeys(gpu.gpu or gpu.uuid for gpu in gpus))
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f" on GPU {', '.join(names[:_NAMED])}{more}"
