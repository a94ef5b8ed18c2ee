"""Judges one number of each GPU against a threshold: the machinery of the checks that `fleet.gpu_faults` declares.

It passes only where every GPU that the node should have tells it, lately. What nobody exports says nothing, unless the
category needs it; a fault that outlives its sample (an error count, a failed row) counts however old the sample is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleet.check_catalogue import CATALOGUE
from fleet.checks import Scene
from fleet.gpu_rows import devices
from fleet.gpu_scene import expected, is_current, no_limit, of_some, on_gpus, read, silent
from fleet.health import Finding, Verdict
from fleet.telemetry import GpuTelemetry, NodeTelemetry


def above(value: float, limit: float) -> bool:
    return value > limit


def declared(scene: Scene, check: str) -> float | None:
    """The category's limit of a check, else its default."""
    return CATALOGUE[check].limit if scene.limit is None else scene.limit


@dataclass(frozen=True, slots=True)
class Measure:
    """How one number of each GPU is judged: `bad(value, limit)`, in words `says(value)` and `wants(limit)`.

    `limit` gives the threshold for one GPU, None where there is none to judge by. `lasts`: the fault outlives its sample.
    `summed` reads the same from the node's sum, for where there are no rows. `fine` is what a pass shows, else the worst value.
    """

    check: str
    value: Callable[[GpuTelemetry], float | None]
    says: Callable[[float], str]
    wants: Callable[[float], str]
    bad: Callable[[float, float], bool] = above
    limit: Callable[[Scene, GpuTelemetry], float | None] | None = None
    lasts: bool = True
    summed: Callable[[NodeTelemetry], float | None] | None = None
    fine: str = ""
    worst: Callable[[Sequence[float]], float] = max
    verdict: Callable[[float], Verdict] | None = None

    def limit_for(self, scene: Scene, gpu: GpuTelemetry) -> float | None:
        return declared(scene, self.check) if self.limit is None else self.limit(scene, gpu)


@dataclass(frozen=True, slots=True)
class _Told:
    """One value of one GPU, with the limit it is held to."""

    gpu: GpuTelemetry
    device: int
    value: float
    limit: float | None
    lately: bool


def judge(scene: Scene, measure: Measure) -> Finding:
    """The finding of one measure."""
    if scene.expected_gpus == 0:
        return read(scene, measure.check, Verdict.PASS, "no GPUs expected", "none")
    told = _told(scene, measure)
    wants = _wants(measure, told, scene)
    bad = [
        each
        for each in told
        if each.limit is not None and (measure.lasts or each.lately) and measure.bad(each.value, each.limit)
    ]
    fresh = [each for each in told if each.lately]
    speaking = {each.device for each in fresh}
    if bad:
        worst = measure.worst([each.value for each in bad])
        on = on_gpus([each.gpu for each in bad])
        found = read(scene, measure.check, _verdict(measure, worst), f"{measure.says(worst)}{on}", wants)
        return of_some(scene, found, len(speaking))
    summed = _sum(scene, measure)
    if summed is not None and not told and measure.bad(summed, declared(scene, measure.check) or 0.0):
        found = read(scene, measure.check, _verdict(measure, summed), measure.says(summed), wants)
        return of_some(scene, found, 0)
    if told and all(each.limit is None for each in told):
        return no_limit(scene, measure.check, measure.says(measure.worst([each.value for each in told])))
    if len(speaking) < max(1, expected(scene)):
        return silent(scene, measure.check, wants, told=len(speaking), ever=bool(told))
    worst = measure.worst([each.value for each in fresh])
    if any(each.limit is None for each in fresh):
        return silent(
            scene, measure.check, wants, told=sum(each.limit is not None for each in fresh), ever=True
        )
    return read(scene, measure.check, Verdict.PASS, measure.fine or measure.says(worst), wants)


def _told(scene: Scene, measure: Measure) -> list[_Told]:
    found = []
    for device, instances in enumerate(devices(scene.readings.gpus)):
        for gpu in instances:
            value = measure.value(gpu)
            if value is not None:
                lately = is_current(scene, gpu.at)
                found.append(_Told(gpu, device, value, measure.limit_for(scene, gpu), lately))
    return found


def _wants(measure: Measure, told: Sequence[_Told], scene: Scene) -> str:
    limit = next((each.limit for each in told if each.limit is not None), declared(scene, measure.check))
    return measure.wants(0.0 if limit is None else limit)


def _verdict(measure: Measure, value: float) -> Verdict:
    if measure.verdict is not None:
        return measure.verdict(value)
    return CATALOGUE[measure.check].severity or Verdict.FAIL


def _sum(scene: Scene, measure: Measure) -> float | None:
    node = scene.readings.node
    return measure.summed(node) if measure.summed is not None and node is not None else None
