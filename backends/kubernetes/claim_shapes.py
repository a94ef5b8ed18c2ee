"""ResourceSlices and ResourceClaims as they are read: resource.k8s.io v1beta1 to v1, which differ here in `basic` alone."""

from __future__ import annotations

import msgspec

from backends.kubernetes.shapes import KubeObject, Reading

GROUP = "resource.k8s.io"
VERSIONS = ("v1", "v1beta2", "v1beta1")
"""Those that can be read, the best first."""


class Attribute(msgspec.Struct, gc=False, frozen=True):
    """An attribute, where it is a text."""

    string: str | None = None


class DeviceTaint(msgspec.Struct, gc=False, frozen=True):
    """A taint of a device."""

    effect: str | None = None


class BasicDevice(msgspec.Struct, gc=False):
    """The device's own fields, as v1beta1 nests them."""

    attributes: dict[str, Attribute] | None = None
    taints: list[DeviceTaint] | None = None
    consumes_counters: list[object] | None = msgspec.field(default=None, name="consumesCounters")


class DeviceEntry(BasicDevice, gc=False):
    """A device of a slice."""

    name: str = ""
    basic: BasicDevice | None = None

    @property
    def own(self) -> BasicDevice:
        return self.basic or self


class PoolEntry(msgspec.Struct, gc=False, frozen=True, rename="camel"):
    """The pool that a slice is a part of."""

    name: str = ""
    generation: int = 0
    resource_slice_count: int = 1


class SliceSpec(msgspec.Struct, gc=False, rename="camel"):
    """What a slice offers, and where."""

    driver: str = ""
    node_name: str | None = None
    pool: PoolEntry = PoolEntry()
    devices: list[DeviceEntry] | None = None


class SliceShape(KubeObject, gc=False):
    """A ResourceSlice."""

    spec: SliceSpec | None = None


class Allocated(msgspec.Struct, gc=False, frozen=True, rename="camel"):
    """One device of a claim's allocation."""

    driver: str = ""
    pool: str = ""
    device: str = ""
    admin_access: bool | None = None


class Devices(msgspec.Struct, gc=False):
    """What was allocated."""

    results: list[Allocated] | None = None


class Allocation(msgspec.Struct, gc=False):
    """A claim's allocation."""

    devices: Devices | None = None


class Consumer(msgspec.Struct, gc=False, frozen=True):
    """Who uses a claim."""

    resource: str = ""
    uid: str = ""


class ClaimStatus(msgspec.Struct, gc=False, rename="camel"):
    """How far a claim is."""

    allocation: Allocation | None = None
    reserved_for: list[Consumer] | None = None


class ClaimShape(KubeObject, gc=False):
    """A ResourceClaim."""

    status: ClaimStatus | None = None


SLICES = Reading(SliceShape)
CLAIMS = Reading(ClaimShape)
