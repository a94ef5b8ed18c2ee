"""The past that this program saw itself: a ring of readings for every node, and one for each GPU of the nodes looked at.

Fed by the readings that are made anyhow, so it costs no question. A node takes a kilobyte, a fleet of 10,000 ten megabytes.
A step in which nothing came is unknown, and the ring begins where the program did.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite

from fleet.history import Line, Metric, NodeHistory, Span
from fleet.node import NodeKey
from fleet.telemetry import GpuTelemetry, NodeTelemetry

STEP = timedelta(seconds=30)
KEPT = 120
"""Steps that are kept: an hour."""

_LOOKED_AT = 64
"""Nodes whose single GPUs are remembered, those looked at last."""

_UNKNOWN = -32_768
_MOST = 32_767
_SCALE = {Metric.UTIL: 100.0, Metric.TEMP: 10.0, Metric.POWER: 1.0, Metric.MEMORY: 100.0}
_METRICS = tuple(Metric)
_NAMES = {Metric.UTIL: "mean", Metric.TEMP: "hottest", Metric.POWER: "all", Metric.MEMORY: "all"}


_MISSED = array("h", [_UNKNOWN]) * 4


def _packed(value: float | None, scale: float) -> int:
    """A value as a whole number of two bytes; one that is no number is unknown."""
    if value is None or not isfinite(value):
        return _UNKNOWN
    whole = int(value * scale + 0.5)
    return whole if 0 <= whole <= _MOST else 0 if whole < 0 else _MOST


class _Ring:
    """Steps of four values each, as whole numbers of two bytes; `last` is the newest step's number."""

    __slots__ = ("first", "last", "values")

    def __init__(self, step: int) -> None:
        self.values = array("h", [_UNKNOWN]) * (KEPT * len(_METRICS))
        self.first = self.last = step

    def note(
        self, step: int, util: float | None, temp: float | None, power: float | None, memory: float | None
    ) -> None:
        """The readings of a step, over what the same step had; steps left out between are unknown, and old ones are past."""
        if step <= self.last - KEPT:
            return
        if step > self.last + 1:
            for missed in range(max(self.last + 1, step - KEPT + 1), step):
                at = missed % KEPT * 4
                self.values[at : at + 4] = _MISSED
        at, values = step % KEPT * 4, self.values
        values[at] = _packed(util, 100.0)
        values[at + 1] = _packed(temp, 10.0)
        values[at + 2] = _packed(power, 1.0)
        values[at + 3] = _packed(memory, 100.0)
        self.first, self.last = min(self.first, step), max(self.last, step)

    def recent(self, metric: Metric, steps: int, now: int) -> list[float | None]:
        """The last `steps` values up to step `now`, the oldest first."""
        place, scale = _METRICS.index(metric), _SCALE[metric]
        oldest = max(self.first, self.last - KEPT + 1)
        told: list[float | None] = []
        for step in range(now - steps + 1, now + 1):
            value = (
                self.values[step % KEPT * len(_METRICS) + place] if oldest <= step <= self.last else _UNKNOWN
            )
            told.append(None if value == _UNKNOWN else value / scale)
        return told


class Trails:
    """Rings of all nodes, and of the GPUs of a few. Time comes with each reading."""

    def __init__(self, step: timedelta = STEP) -> None:
        self._step = step
        self._nodes: dict[NodeKey, _Ring] = {}
        self._gpus: OrderedDict[NodeKey, dict[str, _Ring]] = OrderedDict()
        self._now = 0
        self._told: datetime | None = None
        self._seconds = step.total_seconds()

    def __len__(self) -> int:
        return len(self._nodes)

    def note(self, key: NodeKey, reading: NodeTelemetry | None, now: datetime) -> None:
        """What is known of a node, None where it is silent. A reading counts for when it was sampled, however often it is told."""
        if now is not self._told:
            self._told = now
            self._at(now)
        if reading is None:
            return
        step = self._step_of(reading.at if reading.at < now else now)
        ring = self._nodes.get(key)
        if ring is None:
            ring = self._nodes[key] = _Ring(step)
        ratio = reading.fb_used_ratio
        memory = None if ratio is None else 100 * ratio
        ring.note(step, reading.gpu_util, reading.gpu_temp_max, reading.power_watts, memory)

    def note_gpus(self, key: NodeKey, rows: Sequence[GpuTelemetry], now: datetime) -> None:
        """What was read of a node's single GPUs."""
        self._at(now)
        rings = self._gpus.setdefault(key, {})
        self._gpus.move_to_end(key)
        if len(self._gpus) > _LOOKED_AT:
            self._gpus.popitem(last=False)
        for row in rows:
            name, step = device_of(row), self._step_of(min(row.at or now, now))
            ring = rings.get(name)
            if ring is None:
                ring = rings[name] = _Ring(step)
            ring.note(step, util_of(row), row.temp, row.power_watts, memory_of(row))

    def keep(self, known: Collection[NodeKey]) -> None:
        """Forget nodes that are gone."""
        for gone in [key for key in self._nodes if key not in known]:
            del self._nodes[gone]
            self._gpus.pop(gone, None)

    def recent(self, key: NodeKey, metric: Metric, steps: int) -> list[float | None]:
        """A node's last `steps` values up to the newest reading of any node; empty where nothing is kept."""
        ring = self._nodes.get(key)
        return ring.recent(metric, steps, self._now) if ring is not None else []

    def gpus(self, key: NodeKey, metric: Metric, steps: int) -> dict[str, list[float | None]]:
        """The last `steps` values of each GPU that was looked at, by `device_of`."""
        rings = self._gpus.get(key, {})
        return {name: ring.recent(metric, steps, self._now) for name, ring in rings.items()}

    def history(self, key: NodeKey, span: Span, now: datetime) -> NodeHistory:
        """A node's past as far as it is kept, on a grid of our own step."""
        steps = min(KEPT, span.length // self._step)
        kept = Span(span.name, steps * self._step, self._step)
        ring, at = self._nodes.get(key), self._at(now)
        lines = (
            {metric: (Line(_NAMES[metric], tuple(ring.recent(metric, steps, at))),) for metric in Metric}
            if ring is not None
            else {}
        )
        since = None
        if ring is not None:
            since = self._when(max(ring.first, at - KEPT + 1))
        return NodeHistory(kept, now, lines, source="our own readings", since=since)

    def _at(self, now: datetime) -> int:
        self._now = max(self._now, self._step_of(now))
        return self._now

    def _step_of(self, at: datetime) -> int:
        return int(at.timestamp() // self._seconds)

    def _when(self, step: int) -> datetime:
        return datetime.fromtimestamp(step * self._seconds, UTC)


def name_of(row: GpuTelemetry) -> str:
    """How a GPU or instance is called beside the others of its node, as lines of a history are."""
    gpu = row.gpu or row.uuid
    return f"{gpu}.{row.instance}" if row.instance else gpu


def device_of(row: GpuTelemetry) -> str:
    """What tells a GPU or instance from the others of its node for ever: its UUID, since a reboot may give it another number."""
    gpu = row.uuid or row.gpu
    return f"{gpu}.{row.instance}" if row.instance else gpu


def util_of(row: GpuTelemetry) -> float | None:
    """Utilisation in percent; a MIG instance has only its engine's."""
    if row.util is not None or row.engine_active is None:
        return row.util
    return 100 * row.engine_active


def memory_of(row: GpuTelemetry) -> float | None:
    """Framebuffer used, in percent."""
    if row.fb_used_mib is None or not row.fb_total_mib:
        return None
    return 100 * row.fb_used_mib / row.fb_total_mib
