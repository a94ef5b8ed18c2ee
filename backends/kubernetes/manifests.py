"""The Node that the imager `recreate` makes: the old one at a new image, or a new one like its category's.

Only for nodes without a machine behind them (KWOK's annotation): a real kubelet registers its own Node. KWOK needs the
capacity; conditions, addresses and boot are the node's own word and are never made up here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from backends.kubernetes.closing import entry_of
from backends.kubernetes.held_by import read_held_by
from backends.kubernetes.node_edit import NodeObject, TaintShape
from backends.kubernetes.our_keys import GATE_EFFECT, GATE_VALUE, KWOK, LABEL_LIMIT, OurKeys, slug
from fleet.node import Stage
from fleet.plan import Close, Create, PutImage

CONTROLLERS_TAINTS = "node.kubernetes.io/"
"""Taints that the control plane puts on and takes off by itself."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_LIKE_ITS_CATEGORY = (
    *("kubernetes.io/arch", "kubernetes.io/os", "type"),
    *("node.kubernetes.io/instance-type", "node-role.kubernetes.io/"),
    *("nvidia.com/gpu", "nvidia.com/cuda", "nvidia.com/mig"),
)
"""Labels that a new node has in common with its category; the rest (name, rack, clique) are each node's own."""


class _Status(msgspec.Struct, omit_defaults=True):
    capacity: Mapping[str, Any] | None = None
    allocatable: Mapping[str, Any] | None = None


class _Spec(msgspec.Struct, omit_defaults=True):
    taints: list[TaintShape] | None = None
    unschedulable: bool | None = None
    provider_id: str | None = msgspec.field(default=None, name="providerID")


class _Meta(msgspec.Struct, omit_defaults=True):
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Manifest(msgspec.Struct):
    """A Node to create, and nothing that the server or the node itself says."""

    metadata: _Meta
    spec: _Spec
    status: _Status
    api_version: str = msgspec.field(default="v1", name="apiVersion")
    kind: str = "Node"

    def text(self) -> str:
        """As JSON."""
        return msgspec.json.encode(self).decode()


def again(node: NodeObject, action: PutImage, keys: OurKeys, *, wanted: str | None = None) -> Manifest:
    """`node` at the image, behind the gate: labels, annotations, foreign taints, holds and capacity kept, the old verdict not.

    `wanted` is the image desired of it till now; where that is another, the new one is from now on, or no gate would let it in.
    """
    image, hold = action.image, action.hold
    labels = node.labels | {keys.image_version: slug(image), keys.lifecycle: Stage.REIMAGING.value}
    annotations = {
        key: text for key, text in node.annotations.items() if key not in (_LAST_APPLIED, keys.gate)
    }
    annotations |= {keys.image: image, keys.operation: hold.operation}
    if annotations.get(keys.desired_image, wanted or image) != image:
        annotations[keys.desired_image] = image
    held = read_held_by(annotations.get(keys.held_by))
    if held.of(hold.operation) is None and not held.garbled:
        entry = entry_of(node, Close(hold, Stage.REIMAGING, gate=not action.by_cordon), keys)
        annotations[keys.held_by] = held.with_(entry).text(node=node.name) or ""
    provider = node.spec.provider_id if node.spec else None
    unschedulable = node.unschedulable or action.by_cordon or None
    spec = _Spec(_taints(node.taints, keys, gate=not action.by_cordon), unschedulable, provider)
    return Manifest(_Meta(node.name, labels, annotations), spec, _hardware(node))


def anew(name: str, action: Create, keys: OurKeys, like: NodeObject | None) -> Manifest:
    """A node that was never there, provisioning and behind the gate. `like` is a sibling whose hardware it has."""
    labels = {} if like is None else {key: text for key, text in like.labels.items() if _shared(key)}
    if len(name) <= LABEL_LIMIT:
        labels["kubernetes.io/hostname"] = name
    labels |= {
        keys.category: slug(action.category),
        keys.image_version: slug(action.image),
        keys.lifecycle: Stage.PROVISIONING.value,
    }
    bare = NodeObject()
    entry = entry_of(bare, Close(action.hold, Stage.PROVISIONING, gate=not action.by_cordon), keys)
    annotations = {
        KWOK: "fake" if like is None else like.annotations.get(KWOK, "fake"),
        keys.image: action.image,
        keys.operation: action.hold.operation,
        keys.held_by: read_held_by(None).with_(entry).text(node=name) or "",
    }
    taints = () if like is None else tuple(taint for taint in like.taints if taint.key == KWOK)
    spec = _Spec(_taints(taints, keys, gate=not action.by_cordon), action.by_cordon or None)
    return Manifest(_Meta(name, labels, annotations), spec, _hardware(like))


def _hardware(node: NodeObject | None) -> _Status:
    if node is None or node.status is None:
        return _Status()
    return _Status(node.status.capacity, node.status.allocatable)


def _taints(taints: Iterable[TaintShape], keys: OurKeys, *, gate: bool) -> list[TaintShape] | None:
    """The node's own taints, with the gate's where it is to be closed by that."""
    kept = [
        taint
        for taint in taints
        if taint.key != keys.gate_taint and not taint.key.startswith(CONTROLLERS_TAINTS)
    ]
    if gate:
        kept.append(TaintShape(key=keys.gate_taint, value=GATE_VALUE, effect=GATE_EFFECT))
    return kept or None


def _shared(key: str) -> bool:
    return key.startswith(_LIKE_ITS_CATEGORY)
