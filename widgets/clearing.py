"""What would make a concern go away, in one line, for the node pane. Operators ask this more than what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fleet.node import Node
from fleet.severity import FLAG, Concern
from fleet.telemetry import NodeTelemetry
from fleet.xid import lookup

_PRESS = (("cordon", "to cordon"), ("drain", "to drain"), ("gate", "to gate"))
_CLEARS = {
    "accepted": "its metric exported, or the end of the acceptance",
    "ready": "its agent reports in again",
    "deleting": "the delete goes through, or its finalizers are cleared",
    "upgrade": "the other controller finishes",
    "label": "correct the label; what is enforced counts",
    "gate": "a gate that passes on newer evidence",
    "condition": "its reporter takes the condition back",
    "row-remap": "replace the GPU",
    "gpus": "the device plugin advertises them all",
    "telemetry": "its exporter is scraped again",
    "idle": "its holder uses it or lets it go",
    "drift": "reimage to the category's image",
    "alert": "the site's Prometheus stops firing it",
    "stuck": "what it waits for gives way, or the operation is cancelled",
}


def what_clears(
    concern: Concern,
    node: Node,
    telemetry: NodeTelemetry | None,
    keys: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """A line for people; empty where nothing can be said. `keys` are those of the verbs, by the verb's word."""
    if concern.about == FLAG:
        press = ", ".join(f"{keys[verb]} {does}" for verb, does in _PRESS if verb in keys)
        return f"press {press}; nothing closes it by itself" if press else "cordon or drain it, then gate"
    if concern.about == "xid" and telemetry is not None and telemetry.xid:
        return f"{lookup(telemetry.xid).asks}, then gate"
    if concern.about in ("stage", "admission"):
        return _closed(concern, node)
    return _CLEARS.get(concern.about, "")


def _closed(concern: Concern, node: Node) -> str:
    stage = node.stage.value
    if stage == "quarantined":
        return "a gate that passes on evidence newer than the fault"
    if stage in ("gated", "provisioning"):
        return "a gate that passes"
    if stage in ("draining", "reimaging", "retiring"):
        return "the operation ends"
    holder = node.holder
    if holder is not None and holder.kind.value == "controller":
        return f"{holder.by} lets go"
    return "uncordon"
