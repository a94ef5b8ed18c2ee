"""How many GPUs a node has and offers, from its resources and from what GPU feature discovery wrote.

Whole devices are those of `nvidia.com/gpu` (or its names of older and time-sliced clusters); MIG slices count apart. Resource
names: NVIDIA k8s-device-plugin; `alpha.kubernetes.io/nvidia-gpu` is Kubernetes up to 1.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GPU = "nvidia.com/gpu"
MIG = "nvidia.com/mig-"
SHARED = "nvidia.com/gpu.shared"
LEGACY = "alpha.kubernetes.io/nvidia-gpu"
_COUNT = "nvidia.com/gpu.count"
_REPLICAS = "nvidia.com/gpu.replicas"
_SIGNS = (
    ("nvidia.com/gpu.present", "true"),
    ("feature.node.kubernetes.io/pci-10de.present", "true"),
    ("feature.node.kubernetes.io/pci-0302_10de.present", "true"),
)
_STRATEGY = "nvidia.com/mig.strategy"
_PRODUCT = "nvidia.com/gpu.product"
_NAMES = (
    _PRODUCT,
    "cloud.google.com/gke-accelerator",
    "kubernetes.azure.com/accelerator",
    _COUNT,
)

Quantities = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class GpuCounts:
    """Whole GPUs there and on offer, None where unknown; `mig` slices on offer."""

    capacity: int | None
    allocatable: int | None
    mig: int


def gpu_counts(
    capacity: Quantities | None, allocatable: Quantities | None, labels: Mapping[str, str]
) -> GpuCounts:
    """The counts of a node. One without GPU labels and resources has none; one with labels only offers none now."""
    if not capacity and not allocatable:
        return GpuCounts(None, None, 0)
    capacity, allocatable = capacity or {}, allocatable or {}
    mig = sum(whole(value) or 0 for name, value in allocatable.items() if name.startswith(MIG))
    there, offered = _devices(capacity, labels), _devices(allocatable, labels)
    if _is_sliced_whole(labels) and offered:
        return GpuCounts(0, 0, offered + mig)
    if there is None and offered is None and not _has_gpus(labels) and not mig:
        return GpuCounts(0, 0, 0)
    if not there:
        # A device plugin that is gone for good leaves a 0 behind where the labels still tell of GPUs.
        there = 0 if mig else whole(labels.get(_COUNT)) or there
    if offered is None and labels.get("nvidia.com/gpu.deploy.dra-driver") != "true":
        offered = 0
    return GpuCounts(there, offered, mig)


@dataclass(frozen=True, slots=True)
class Sharing:
    """How a node's pods share GPUs: one that is asked for is one of `replicas` of a GPU, or, where `sliced`, a MIG instance.

    `claimed`: how many GPUs are there is not told by the node, for they are given out by claims (dynamic resource allocation).
    """

    replicas: int = 1
    sliced: bool = False
    claimed: bool = False


def sharing_of(labels: Mapping[str, str], counts: GpuCounts) -> Sharing:
    """How the GPUs of a node with these labels and counts are shared (GPU feature discovery's labels)."""
    return Sharing(
        max(1, whole(labels.get(_REPLICAS)) or 1), _is_sliced_whole(labels), counts.allocatable is None
    )


def whole(value: str | float | None) -> int | None:
    """A quantity that counts devices; None for one that is no whole number. Suffixes are not used for devices."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 9 else None
    if value is None or value != value or not 0 <= value < 1e9:
        return None
    return int(value)


def _devices(quantities: Quantities, labels: Mapping[str, str]) -> int | None:
    """Whole devices under the first name that counts any: a resource that is gone stays behind as 0."""
    counts = [whole(quantities[name]) for name in (GPU, SHARED, LEGACY) if name in quantities]
    if not counts:
        return None
    count = next((count for count in counts if count), counts[0])
    return count // (whole(labels.get(_REPLICAS)) or 1) if count is not None else None


def _is_sliced_whole(labels: Mapping[str, str]) -> bool:
    """Whether every GPU is cut into instances that go by the name of whole ones (GPU feature discovery, MIG strategy single)."""
    return labels.get(_STRATEGY) == "single" and "-MIG-" in labels.get(_PRODUCT, "")


def _has_gpus(labels: Mapping[str, str]) -> bool:
    return any(labels.get(key) == value for key, value in _SIGNS) or any(labels.get(key) for key in _NAMES)
