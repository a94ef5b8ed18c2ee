"""Recording rules for large fleets: what deploy/prometheus/quarterdeck-rules.yaml records, and how it is asked for.

A rule sums up by every label that may name a node, since a rules file can't know which of them does at a site; the question then
puts together what belongs to one node. Recorded or not, the answers are the same; a test holds the file to these expressions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backends.prometheus import queries
from backends.prometheus.answers import Row
from backends.prometheus.queries import PRESENCE, XID, Shape
from fleet.gpu_rows import HOLDER_LABELS
from fleet.joining import CANDIDATES

KEPT = ("cluster", *CANDIDATES)
"""The labels that recorded series keep: what may name a node, and `cluster` for a Prometheus that has several."""

COUNT = "gpus_seen"
"""The field that is compared to know whether recorded series can stand for the raw ones."""

_PREFIX = "quarterdeck:node_"
_TOGETHER: Mapping[str, str] = {
    "at": "min",
    "gpus_seen": "sum",
    "gpu_util": "avg",
    "gpu_util_min": "min",
    "gpu_util_max": "max",
    "gpu_temp_max": "max",
    "temp_margin_min": "min",
    "fb_used_ratio": "avg",
    "power_watts": "sum",
    "xid": "sum",
    "row_remap_failure": "max",
    "remap_pending": "max",
    "remapped_rows": "max",
    "ecc_dbe": "max",
    "slowed": "max",
    "recovery_action": "max",
    "idle_held": "sum",
}
"""How several recorded series of one node come together, by the field of NodeTelemetry."""

_APART: Mapping[str, Sequence[str]] = {"xid": (XID,), "idle_held": HOLDER_LABELS}
"""The labels by which the series of a field stay apart."""


def name_of(field: str) -> str:
    """The name under which a field of NodeTelemetry is recorded."""
    return _PREFIX + field


def rules() -> Mapping[str, str]:
    """What is recorded: PromQL by the name of the series."""
    return {name_of(field): query for field, query in queries.by_node(Shape(KEPT, PRESENCE), {}).items()}


def by_node(shape: Shape, matchers: Mapping[str, str]) -> Mapping[str, str]:
    """The questions of `queries.by_node`, asked of the recorded series."""
    by = ",".join(shape.labels)
    asked = {}
    for field, together in _TOGETHER.items():
        labels = ",".join((by, *_APART.get(field, ())))
        asked[field] = f"{together} by ({labels}) ({queries.selector(name_of(field), matchers)})"
    return asked


def agree(recorded: Sequence[Row], raw: Sequence[Row], shape: Shape) -> bool:
    """Whether the recorded counts of GPUs are the raw ones, for every node.

    They are not where a rules file is another version's, lacks a label that is matched on, or counts a GPU twice that two
    exporters show.
    """
    counts = [
        {tuple(map(row.metric.get, shape.labels)): row.value[1] for row in rows} for rows in (recorded, raw)
    ]
    return bool(recorded) and counts[0] == counts[1]
