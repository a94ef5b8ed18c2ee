"""Judges how often GPUs' PCIe links send again: what the counter gained lately, since it counts from the driver's being loaded.

A gain needs the past, which not every telemetry source has. Without one the counter alone can only clear a GPU: what it counted
since the driver was loaded is the most that it can have gained lately. More than that is unknown, never a fault and never fine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from fleet.check_catalogue import CATALOGUE
from fleet.checks import Scene
from fleet.gpu_rows import devices
from fleet.gpu_scene import expected, is_current, of_some, on_gpus, read, silent
from fleet.health import Finding, Verdict
from fleet.measures import declared
from fleet.telemetry import REPLAYS_OVER, GpuTelemetry, Samples

CHECK = "pcie-replays"
_LATE = timedelta(minutes=2)
"""By how much the first sample of a whole window may miss its beginning: a step, and a scrape."""

_IN_WINDOW = f"in {REPLAYS_OVER.total_seconds() / 60:.0f} min"


@dataclass(frozen=True, slots=True)
class _Link:
    """One GPU's link: its counter, what it `gained` in the window as far as that is known, and whether all of it is."""

    gpu: GpuTelemetry
    counter: float
    gained: float | None
    whole: bool
    lately: bool

    def is_bad(self, limit: float) -> bool:
        return self.gained is not None and self.gained > limit

    def is_fine(self, limit: float) -> bool:
        return self.lately and not self.is_bad(limit) and (self.whole or self.counter <= limit)

    @property
    def says(self) -> str:
        if self.whole and self.gained is not None:
            return f"{self.gained:,.0f} replays {_IN_WINDOW}"
        return f"{self.counter:,.0f} replays since the driver was loaded"


def gained(samples: Samples, since: datetime) -> float | None:
    """What the counter gained from `since` on; None where fewer than two samples tell. One that began anew gained all it shows."""
    told = [value for at, value in samples if at >= since]
    if len(told) < 2:
        return None
    return sum(after - before if after >= before else after for before, after in pairwise(told))


def pcie_replays(scene: Scene) -> Finding:
    """No GPU's link sent again more often than the limit in the window, since the node became ready."""
    if scene.expected_gpus == 0:
        return read(scene, CHECK, Verdict.PASS, "no GPUs expected", "none")
    limit = declared(scene, CHECK) or 0.0
    wants = f"at most {limit:,.0f} {_IN_WINDOW}"
    links = list(_links(scene))
    fresh = [link for link in links if link.lately]
    if bad := [link for link in links if link.is_bad(limit)]:
        worst = max(link.gained or 0.0 for link in bad)
        value = f"{worst:,.0f} replays {_IN_WINDOW}{on_gpus([link.gpu for link in bad])}"
        found = read(scene, CHECK, CATALOGUE[CHECK].severity or Verdict.FAIL, value, wants)
        known = [link for link in fresh if link in bad or link.is_fine(limit)]
        return of_some(scene, found, len(known))
    if len(fresh) < max(1, expected(scene)):
        return silent(scene, CHECK, wants, told=len(fresh), ever=bool(links))
    if open_ := [link for link in fresh if not link.is_fine(limit)]:
        return _without_a_past(scene, open_, wants)
    return read(scene, CHECK, Verdict.PASS, max(fresh, key=_weight).says, wants)


def _links(scene: Scene) -> Iterator[_Link]:
    ready = scene.ready_since
    start = scene.now - REPLAYS_OVER
    since = max(start, ready) if ready is not None and ready <= scene.now else start
    for instances in devices(scene.readings.gpus):
        told = [(gpu.pcie_replays, gpu) for gpu in instances if gpu.pcie_replays is not None]
        if not told:
            continue
        counter, gpu = max(told, key=lambda each: each[0])
        samples = list(scene.readings.replays.get(gpu.uuid or gpu.gpu, ()))
        if samples and gpu.at is not None and gpu.at > samples[-1][0]:
            samples.append((gpu.at, counter))
        whole = bool(samples) and samples[0][0] - start <= _LATE
        gain = gained(samples, since)
        yield _Link(gpu, counter, gain, whole and gain is not None, is_current(scene, gpu.at))


def _without_a_past(scene: Scene, links: Sequence[_Link], wants: str) -> Finding:
    """UNKNOWN: the counter is beyond the limit, and nobody tells since when. It says nothing unless the site has a word on it."""
    worst = max(links, key=lambda link: link.counter)
    value = f"{worst.says}, since when is not known{on_gpus([link.gpu for link in links])}"
    clears = (
        "a Prometheus that has the last 30 minutes of the counter, or the category not needing this check"
    )
    finding = read(scene, CHECK, Verdict.UNKNOWN, value, wants, clears)
    return replace(finding, absent=scene.limit is None)


def _weight(link: _Link) -> tuple[float, bool]:
    return link.gained if link.whole and link.gained is not None else link.counter, link.whole
