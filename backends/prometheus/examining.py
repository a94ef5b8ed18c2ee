"""What doctor says of a Prometheus: by which labels its series name nodes, and whether the recording rules are used."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from backends.prometheus import queries, recorded
from backends.prometheus.answers import Row
from backends.prometheus.client import PrometheusSource
from fleet.joining import CANDIDATES, NodeNames, could_name_a_node, host_of
from fleet.node import NodeKey
from fleet.remark import Remark
from fleet.text import clean

_NAMED = 3
_TEXT_LIMIT = 80
_RULES = "deploy/prometheus/quarterdeck-rules.yaml"


async def examine(source: PrometheusSource, nodes: Collection[NodeKey]) -> Sequence[Remark]:
    """One answer about labels, one about rules. Raises FleetError."""
    shape = source.shape
    if shape is None:
        return [Remark("prometheus labels", None, "no GPU series was found yet")]
    answer = await source.ask(queries.shapes(source.matchers))
    return [_labels(answer.rows, shape, NodeNames(nodes)), await _rules(source, shape)]


def _labels(rows: Sequence[Row], shape: queries.Shape, known: NodeNames) -> Remark:
    """Which label names how many nodes, and exporters that name none by any label that could."""
    hosts: dict[str, set[str]] = {label: set() for label in shape.labels}
    strangers: set[str] = set()
    for row in rows:
        label = next((each for each in shape.labels if known.find(row.metric.get(each, ""))), None)
        if label is not None:
            hosts[label].add(host_of(row.metric[label]))
        else:
            named = (each for each in CANDIDATES if could_name_a_node(row.metric, each))
            strangers.add(
                next((f"{each}={clean(row.metric[each], _TEXT_LIMIT)}" for each in named), "no label")
            )
    says = f"nodes are named by {', '.join(f'{label} ({len(found)})' for label, found in hosts.items())}"
    if strangers:
        more = " ..." if len(strangers) > _NAMED else ""
        says += f"; {len(strangers)} exporters name no node ({', '.join(sorted(strangers)[:_NAMED])}{more})"
    mend = "see docs/telemetry.md: the label that names the host must match the node's name"
    return Remark("prometheus labels", any(hosts.values()) and not strangers, says, mend)


async def _rules(source: PrometheusSource, shape: queries.Shape) -> Remark:
    about, matchers = "prometheus rules", source.matchers
    found = await source.ask(recorded.by_node(shape, matchers)[recorded.COUNT])
    if not found.rows:
        return Remark(about, True, "none recorded; sums are asked of the raw series")
    raw = await source.ask(queries.by_node(shape, matchers)[recorded.COUNT])
    if recorded.agree(found.rows, raw.rows, shape):
        used = "used" if source.uses_rules else "agree with the raw series, and will be used"
        return Remark(about, True, f"recorded series are {used}")
    says = "recorded series count other GPUs than the raw ones do, and are not used"
    return Remark(
        about, None, says, f"load {_RULES} of this version; a node that came or went differs a moment"
    )
