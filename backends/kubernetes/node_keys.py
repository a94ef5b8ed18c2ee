"""Where to look for a node's category, image, place and owner: our keys first, then what clouds and operators write.

The lists are configuration: a site may put its own labels in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backends.kubernetes.our_keys import KWOK, OurKeys, same_image, slug
from backends.kubernetes.shapes import NodeShape
from fleet.machine import JoinBy
from fleet.node import Image, Topology
from fleet.policy import Policy
from fleet.text import clean

CATEGORY_LABELS = (
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
    "agentpool",
    "karpenter.sh/nodepool",
    "nvidia.com/gpu.product",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
)
DRIVER = "nvidia.com/cuda.driver-version.full"
OS_IMAGE = "status.nodeInfo.osImage"

_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_RACKS = (
    "topology.kubernetes.io/rack",
    "cloud.google.com/gce-topology-subblock",
    "network.topology.nvidia.com/spine",
    "fabric.topograph.run/tier-1",
)
_SWITCHES = (
    "network.topology.nvidia.com/leaf",
    "fabric.topograph.run/tier-0",
    "topology.k8s.aws/network-node-layer-3",
)
_CLIQUES = (
    "nvidia.com/gpu.clique",
    "accelerator.topograph.run/domain",
    "network.topology.nvidia.com/accelerator",
)
_MACHINES = ("cluster.x-k8s.io/machine", "machine.openshift.io/machine")
_GROUPS = (
    ("karpenter.sh/nodepool", "NodePool"),
    ("eks.amazonaws.com/nodegroup", "EKS node group"),
    ("cloud.google.com/gke-nodepool", "GKE node pool"),
    ("kubernetes.azure.com/agentpool", "AKS node pool"),
    ("kops.k8s.io/instancegroup", "kOps instance group"),
)


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """How a site's nodes are read. `image_labels` are labels, set at boot, by which a node shows the image it runs."""

    policy: Policy = field(default_factory=Policy)
    category_labels: Sequence[str] = CATEGORY_LABELS
    image_labels: Sequence[str] = ()

    @property
    def ours(self) -> OurKeys:
        return OurKeys(self.policy.prefix)


def known_as(node: NodeShape, keys: NodeKeys) -> tuple[tuple[str, str], ...]:
    """What a join rule may know the node's machine by: the labels and annotations that the rules name."""
    if not keys.policy.joins:
        return ()
    places = {JoinBy.LABEL: node.labels, JoinBy.ANNOTATION: node.annotations}
    found = [(rule.key, places[rule.by].get(rule.key, "")) for rule in keys.policy.joins if rule.by in places]
    return tuple(dict.fromkeys((key, clean(value, 253)) for key, value in found if value))


def category_of(labels: Mapping[str, str], keys: NodeKeys, ours: OurKeys) -> tuple[str, str]:
    """The category and the label it is from; empty where nothing says."""
    found = _first(labels, (ours.category, *keys.category_labels))
    return (clean(labels[found], 120), found) if found else ("", "")


def image_of(node: NodeShape, category: str, keys: NodeKeys, ours: OurKeys) -> Image:
    """The image that the node itself shows, and the one wanted of it. Our label speaks before drivers and distributions."""
    labels, notes = node.labels, node.annotations
    desired = notes.get(ours.desired_image) or keys.policy.category(category).desired_image
    found = _first(labels, (*keys.image_labels, ours.image_version, DRIVER))
    running, source = (labels[found], found) if found else (None, "")
    if source == ours.image_version and slug(notes.get(ours.image, "")) == running:
        running = notes[ours.image]
    if running is None:
        os_image = node.status and node.status.node_info and node.status.node_info.os_image
        running, source = (os_image, OS_IMAGE) if os_image else (None, "")
    if desired and same_image(running, desired):
        running = desired
    return Image(_text(running), source, _text(desired or None))


def topology_of(labels: Mapping[str, str], ours: OurKeys) -> Topology:
    """Where the node stands, as far as labels say."""

    def at(*keys: str) -> str:
        found = _first(labels, keys)
        return clean(labels[found], 120) if found else ""

    return Topology(
        at(*_ZONES),
        at(f"{ours.prefix}rack", *_RACKS),
        at(f"{ours.prefix}switch", *_SWITCHES),
        at(*_CLIQUES),
    )


def is_replaceable(node: NodeShape) -> bool:
    """Whether no machine is behind the Node, so that deleting and making it again is its reimage (KWOK, simulated)."""
    return KWOK in node.annotations


def owner_of(node: NodeShape) -> str:
    """Who would bring the node back: an owner reference, a Machine, or the node group that manages it."""
    for reference in node.metadata.owner_references or ():
        return clean(f"{reference.kind} {reference.name}", 200)
    notes, labels = node.annotations, node.labels
    if found := _first(notes, _MACHINES):
        return clean(f"Machine {notes[found].rpartition('/')[2]}", 200)
    if is_replaceable(node):
        return ""
    for key, group in _GROUPS:
        if labels.get(key):
            return clean(f"{group} {labels[key]}", 200)
    return ""


def _first(values: Mapping[str, str], keys: Sequence[str]) -> str:
    return next((key for key in keys if values.get(key)), "")


def _text(text: str | None) -> str | None:
    return clean(text, 300) if text is not None else None
