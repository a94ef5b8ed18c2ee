"""The JSON of nodes: what a kubelet reports of its machine, and the labels GPU feature discovery adds."""

from __future__ import annotations

from collections.abc import Sequence

from backends.simulated.chance import identity
from backends.simulated.machines import Machine
from backends.simulated.objects import Json
from backends.simulated.site import GPU, condition

KUBELET = "v1.32.5"
_LABEL_LIMIT = 63
_PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)
REPORTED = (*(kind for kind, _, _ in _PRESSURES), "Ready")
_RESERVED_CPUS = 2
_RESERVED_GIB = 16
_IMAGES: list[Json] = [
    {"names": [f"images.example/{name}"], "sizeBytes": size}
    for name, size in (
        ("nvidia/k8s-device-plugin:v0.17.1", 194_000_000),
        ("nvidia/dcgm-exporter:4.2.3", 488_000_000),
        ("kube-proxy:v1.32.5", 94_000_000),
        ("pause:3.10", 320_000),
    )
]


def node_status(
    machine: Machine, stamp: str, before: Json, *, found: int | None, healthy: Sequence[int]
) -> Json:
    """The status a kubelet writes. `found` GPUs were there when the device plugin started, None before it ever did.

    Conditions of other reporters in `before`, the status so far, are kept.
    """
    category = machine.category
    capacity: Json = {
        "cpu": str(category.cpus),
        "ephemeral-storage": "3515Gi",
        "hugepages-2Mi": "0",
        "memory": f"{category.memory_gib}Gi",
        "pods": "110",
    }
    allocatable: Json = {
        **capacity,
        "cpu": str(category.cpus - _RESERVED_CPUS),
        "memory": f"{category.memory_gib - _RESERVED_GIB}Gi",
    }
    if found is not None:
        capacity[GPU], allocatable[GPU] = str(found), str(len(healthy))
    known = {each.get("type"): each for each in before.get("conditions") or ()}
    conditions = [
        {**condition(kind, "False", reason, message, stamp, known.get(kind)), "lastHeartbeatTime": stamp}
        for kind, reason, message in _PRESSURES
    ]
    ready = condition(
        "Ready", "True", "KubeletReady", "kubelet is posting ready status", stamp, known.get("Ready")
    )
    others = [each for kind, each in known.items() if kind not in REPORTED]
    return {
        "addresses": [
            {"type": "InternalIP", "address": machine.address},
            {"type": "Hostname", "address": machine.name},
        ],
        "allocatable": allocatable,
        "capacity": capacity,
        "conditions": [*conditions, {**ready, "lastHeartbeatTime": stamp}, *others],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "images": _IMAGES,
        "nodeInfo": _node_info(machine),
    }


def _node_info(machine: Machine) -> Json:
    image = machine.category.image(machine.image)
    return {
        "architecture": "amd64",
        "bootID": machine.boot_id,
        "containerRuntimeVersion": "containerd://1.7.27",
        "kernelVersion": image.kernel,
        "kubeProxyVersion": KUBELET,
        "kubeletVersion": KUBELET,
        "machineID": identity(machine.seed, "machine", machine.name).replace("-", ""),
        "operatingSystem": "linux",
        "osImage": image.os_image,
        "systemUUID": identity(machine.seed, "system", machine.name),
    }


def kubelet_labels(machine: Machine) -> dict[str, str]:
    """The labels a kubelet puts on its own node; a name that is too long for a label's value is left out."""
    labels = {"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"}
    if len(machine.name) <= _LABEL_LIMIT:
        labels["kubernetes.io/hostname"] = machine.name
    return labels


def gpu_labels(machine: Machine, found: int) -> dict[str, str]:
    """What GPU feature discovery writes, in the spelling of k8s-device-plugin's documentation."""
    model, image = machine.category.model, machine.category.image(machine.image)
    major, minor, revision = image.driver.split(".")
    return {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": model.product,
        "nvidia.com/gpu.count": str(found),
        "nvidia.com/gpu.memory": str(model.memory_mib),
        "nvidia.com/gpu.machine": machine.category.machine,
        "nvidia.com/cuda.driver-version.full": image.driver,
        "nvidia.com/cuda.driver-version.major": major,
        "nvidia.com/cuda.driver-version.minor": minor,
        "nvidia.com/cuda.driver-version.revision": revision,
        "nvidia.com/cuda.runtime-version.full": image.cuda,
    }
