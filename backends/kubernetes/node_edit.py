"""A Node as it is changed: read whole where lists are replaced, edited as a value, and sent as one guarded merge patch.

`spec.taints` is atomic in every kind of patch: only read, edit, write with the resourceVersion as precondition loses
nobody's taint (measured on 1.36). Labels, taints, unschedulable and annotations of one step go in that one patch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from backends.kubernetes.our_keys import GATE_EFFECT, GATE_VALUE, OurKeys
from fleet.errors import Garbled


class TaintShape(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A taint with every field that v1 has, so that writing the list back loses nothing."""

    key: str = ""
    value: str | None = None
    effect: str = ""
    time_added: str | None = None


class OwnerShape(msgspec.Struct, frozen=True):
    """Who owns an object."""

    kind: str = ""
    name: str = ""


class MetaShape(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata that a change needs. `managed_fields` stay as they came: they are a hint, and may not hinder a change."""

    name: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None
    owner_references: list[OwnerShape] | None = None
    managed_fields: msgspec.Raw = msgspec.Raw(b"null")


class SpecShape(msgspec.Struct, frozen=True, rename="camel"):
    """The spec that a change needs."""

    unschedulable: bool | None = None
    taints: list[TaintShape] | None = None
    provider_id: str | None = msgspec.field(default=None, name="providerID")


class InfoShape(msgspec.Struct, frozen=True, rename="camel"):
    """What the node's agent says of its boot."""

    boot_id: str | None = msgspec.field(default=None, name="bootID")


class StatusShape(msgspec.Struct, frozen=True, rename="camel"):
    """The status that a Node made again must bring with it."""

    capacity: dict[str, Any] | None = None
    allocatable: dict[str, Any] | None = None
    node_info: InfoShape | None = None


class NodeObject(msgspec.Struct, frozen=True):
    """A Node, with only the fields that a change reads or carries over."""

    metadata: MetaShape = MetaShape()
    spec: SpecShape | None = None
    status: StatusShape | None = None

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.labels or {}

    @property
    def annotations(self) -> dict[str, str]:
        return self.metadata.annotations or {}

    @property
    def taints(self) -> tuple[TaintShape, ...]:
        return tuple((self.spec and self.spec.taints) or ())

    @property
    def unschedulable(self) -> bool:
        return bool(self.spec and self.spec.unschedulable)

    @property
    def boot_id(self) -> str:
        return (self.status and self.status.node_info and self.status.node_info.boot_id) or ""

    def gated(self, keys: OurKeys) -> bool:
        return any(taint.key == keys.gate_taint for taint in self.taints)

    def closed(self, keys: OurKeys) -> bool:
        """Whether the scheduler is kept away, by a cordon or by the gate."""
        return self.unschedulable or self.gated(keys)


_decode = msgspec.json.Decoder(NodeObject).decode


def read_node(body: bytes, *, about: str = "") -> NodeObject:
    """The Node in an answer's body. Raises Garbled."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Garbled(f"the node can't be read: {error}", about=about) from error


@dataclass(slots=True)
class Draft:
    """A Node being edited: change the fields, then ask for the `patch`."""

    node: NodeObject
    keys: OurKeys
    labels: dict[str, str] = field(init=False)
    annotations: dict[str, str] = field(init=False)
    taints: tuple[TaintShape, ...] = field(init=False)
    unschedulable: bool = field(init=False)

    def __post_init__(self) -> None:
        self.labels = dict(self.node.labels)
        self.annotations = dict(self.node.annotations)
        self.taints = self.node.taints
        self.unschedulable = self.node.unschedulable

    def note(self, key: str, text: str | None) -> None:
        """Set an annotation, or take it away."""
        if text is None:
            self.annotations.pop(key, None)
        else:
            self.annotations[key] = text

    def shut_gate(self) -> None:
        """Put our taint beside whatever is there."""
        if not any(taint.key == self.keys.gate_taint for taint in self.taints):
            gate = TaintShape(key=self.keys.gate_taint, value=GATE_VALUE, effect=GATE_EFFECT)
            self.taints = (*self.taints, gate)

    def open_gate(self) -> None:
        """Take our taint away, and no other."""
        self.taints = tuple(taint for taint in self.taints if taint.key != self.keys.gate_taint)

    @property
    def closed(self) -> bool:
        return self.unschedulable or any(taint.key == self.keys.gate_taint for taint in self.taints)

    def patch(self) -> bytes | None:
        """The merge patch from the node as read to the draft; None where nothing differs."""
        metadata: dict[str, Any] = {}
        if labels := _difference(self.node.labels, self.labels):
            metadata["labels"] = labels
        if annotations := _difference(self.node.annotations, self.annotations):
            metadata["annotations"] = annotations
        spec: dict[str, Any] = {}
        if self.taints != self.node.taints:
            spec["taints"] = list(self.taints) or None
        if self.unschedulable != self.node.unschedulable:
            spec["unschedulable"] = self.unschedulable or None
        if not metadata and not spec:
            return None
        metadata["resourceVersion"] = self.node.metadata.resource_version
        return msgspec.json.encode({"metadata": metadata, **({"spec": spec} if spec else {})})


def _difference(was: dict[str, str], wanted: dict[str, str]) -> dict[str, str | None]:
    changed: dict[str, str | None] = {key: text for key, text in wanted.items() if was.get(key) != text}
    return changed | dict.fromkeys(was.keys() - wanted.keys())
