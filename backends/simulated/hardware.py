"""What the simulated machines are made of: GPU models, software images and the categories that combine them.

Figures are the public ones of each product: memory and power limits of NVIDIA's data sheets, memory in MiB as
`nvidia-smi` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GpuModel:
    """One GPU product. `product` is the label's spelling, `name` the driver's; watts, degrees Celsius, MHz, MiB."""

    product: str
    name: str
    memory_mib: int
    reserved_mib: int
    idle_watts: float
    full_watts: float
    idle_celsius: float
    full_celsius: float
    sm_clock: int
    memory_clock: int
    has_nvlink: bool
    has_memory_temperature: bool
    slowdown_celsius: int = 87
    nvlinks: int = 0
    pcie_gen: int = 4
    vbios: str = ""


@dataclass(frozen=True, slots=True)
class SoftwareImage:
    """What a node shows of the image it runs."""

    version: str
    driver: str
    cuda: str
    os_image: str
    kernel: str


@dataclass(frozen=True, slots=True)
class CategoryPlan:
    """One category: the machines' hardware and the images they may run, the last one being the newest."""

    name: str
    share: float  # of the fleet
    gpus: int
    model: GpuModel
    cpus: int
    memory_gib: int
    machine: str
    images: tuple[SoftwareImage, ...]
    desired: str

    def image(self, version: str) -> SoftwareImage:
        """The image of that version; one that was never planned carries the newest one's software."""
        for image in self.images:
            if image.version == version:
                return image
        newest = self.images[-1]
        return SoftwareImage(version, newest.driver, newest.cuda, newest.os_image, newest.kernel)


H100 = GpuModel(
    "NVIDIA-H100-80GB-HBM3",
    "NVIDIA H100 80GB HBM3",
    81559,
    551,
    72,
    690,
    29,
    66,
    1980,
    2619,
    True,
    True,
    slowdown_celsius=87,
    vbios="96.00.89.00.01",
    nvlinks=18,
    pcie_gen=5,
)
A100 = GpuModel(
    "NVIDIA-A100-SXM4-80GB",
    "NVIDIA A100-SXM4-80GB",
    81920,
    589,
    58,
    395,
    28,
    62,
    1410,
    1593,
    True,
    True,
    slowdown_celsius=89,
    vbios="92.00.9E.00.09",
    nvlinks=12,
)
L40S = GpuModel(
    "NVIDIA-L40S",
    "NVIDIA L40S",
    46068,
    582,
    35,
    335,
    30,
    70,
    2520,
    9001,
    False,
    False,
    slowdown_celsius=92,
    vbios="95.02.66.00.02",
)

_JAMMY = ("Ubuntu 22.04.5 LTS", "5.15.0-1074-nvidia")
_NOBLE = ("Ubuntu 24.04.2 LTS", "6.8.0-1025-nvidia")

CATEGORIES = (
    CategoryPlan(
        "h100",
        0.5,
        8,
        H100,
        192,
        2048,
        "HGX-H100-8",
        (
            SoftwareImage("v1", "550.127.08", "12.4", *_JAMMY),
            SoftwareImage("v2", "570.133.20", "12.8", *_NOBLE),
        ),
        desired="v2",
    ),
    CategoryPlan(
        "a100",
        0.3,
        8,
        A100,
        128,
        1024,
        "HGX-A100-8",
        (SoftwareImage("v1", "550.127.08", "12.4", *_JAMMY),),
        desired="v1",
    ),
    CategoryPlan(
        "l40s",
        0.2,
        4,
        L40S,
        64,
        512,
        "OVX-L40S-4",
        (SoftwareImage("v1", "550.127.08", "12.4", *_JAMMY),),
        desired="v1",
    ),
)

UNPLANNED = CategoryPlan(  # a node whose category nobody planned still boots, as an 8 GPU machine
    "unplanned", 0.0, 8, H100, 192, 2048, "HGX-H100-8", CATEGORIES[0].images, desired="v2"
)
