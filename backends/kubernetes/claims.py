"""GPUs that are given out by claims (dynamic resource allocation): what a node's slices offer, and what claims hold of it.

Of a pool only the slices of its highest generation count, and only once as many are there as each says (Kubernetes documentation
of ResourceSlice). What a device is, NVIDIA's driver tells by its attribute `type`; allocations for administration (`adminAccess`)
take nothing away from anybody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from backends.kubernetes.claim_shapes import Allocated, ClaimShape, DeviceEntry, PoolEntry, SliceShape

DRIVER = "gpu.nvidia.com"
_TYPE = "type"
_HARD = ("NoSchedule", "NoExecute")


class Device(Enum):
    """What a device of a slice is. OTHER stands for nothing more: a GPU that is offered a second time, for a virtual machine."""

    GPU = "gpu"
    MIG = "mig"
    OTHER = "vfio"


class Offer(NamedTuple):
    """The devices of one node: GPUs there, GPUs on offer, MIG instances on offer. None where its pool is not told whole."""

    gpus: int | None
    free: int | None
    mig: int


class Held(NamedTuple):
    """One device that a claim holds, and the pods, by uid, that use it."""

    kind: Device
    pods: frozenset[str]


class _Slice(NamedTuple):
    node: str
    pool: PoolEntry
    devices: tuple[tuple[str, Device, bool], ...]  # name, kind, and whether it is on offer


class Slices:
    """Every slice of NVIDIA's driver, by node."""

    def __init__(self) -> None:
        self._slices: dict[str, _Slice] = {}
        self._of_node: defaultdict[str, set[str]] = defaultdict(set)
        self._of_pool: defaultdict[str, set[str]] = defaultdict(set)

    @property
    def nodes(self) -> Iterable[str]:
        return [node for node, names in self._of_node.items() if names]

    def put(self, slices: Iterable[SliceShape]) -> set[str]:
        """Take in slices as they are now. Gives the nodes that they are about, before and now."""
        touched: set[str] = set()
        for shape in slices:
            touched |= self.drop(shape)
            spec = shape.spec
            if spec is None or spec.driver != DRIVER or not spec.node_name:
                continue
            devices = tuple(_offered(each) for each in spec.devices or ())
            self._slices[shape.metadata.name] = _Slice(spec.node_name, spec.pool, devices)
            self._of_node[spec.node_name].add(shape.metadata.name)
            self._of_pool[spec.pool.name].add(shape.metadata.name)
            touched.add(spec.node_name)
        return touched

    def drop(self, shape: SliceShape) -> set[str]:
        """Forget a slice. Gives the node that it was about."""
        old = self._slices.pop(shape.metadata.name, None)
        if old is None:
            return set()
        self._of_node[old.node].discard(shape.metadata.name)
        self._of_pool[old.pool.name].discard(shape.metadata.name)
        return {old.node}

    def nodes_of(self, pools: Iterable[str]) -> set[str]:
        """The nodes whose devices are in these pools."""
        return {self._slices[name].node for pool in pools for name in self._of_pool.get(pool, ())}

    def offer(self, node: str) -> Offer | None:
        """What is offered on a node; None where no slice is about it."""
        pools = self._pools(node)
        if not pools:
            return None
        if any(len(slices) < slices[0].pool.resource_slice_count for slices in pools.values()):
            return Offer(None, None, 0)
        found = [device for slices in pools.values() for each in slices for device in each.devices]
        gpus = [free for _, kind, free in found if kind is Device.GPU]
        return Offer(len(gpus), sum(gpus), sum(free for _, kind, free in found if kind is Device.MIG))

    def kinds(self, node: str) -> dict[tuple[str, str], Device]:
        """What each device of a node is, by its pool and its name."""
        return {
            (pool, name): kind
            for pool, slices in self._pools(node).items()
            for each in slices
            for name, kind, _ in each.devices
        }

    def _pools(self, node: str) -> dict[str, list[_Slice]]:
        """The slices of a node that count, by the name of their pool. A list of nodes asks from a thread of its own."""
        pools: dict[str, list[_Slice]] = {}
        for name in tuple(self._of_node.get(node, ())):
            each = self._slices.get(name)
            if each is None:
                continue
            there = pools.setdefault(each.pool.name, [])
            if there and each.pool.generation > there[0].pool.generation:
                there.clear()
            if not there or each.pool.generation == there[0].pool.generation:
                there.append(each)
        return pools


class _Claim(NamedTuple):
    devices: tuple[tuple[str, str], ...]
    pods: frozenset[str]


class Claims:
    """Every claim that holds a device of NVIDIA's driver, by the pool of the device."""

    def __init__(self) -> None:
        self._claims: dict[str, _Claim] = {}
        self._of_pool: defaultdict[str, set[str]] = defaultdict(set)

    def put(self, claims: Iterable[ClaimShape]) -> set[str]:
        """Take in claims as they are now. Gives the pools whose devices they hold, before and now."""
        touched: set[str] = set()
        for shape in claims:
            touched |= self.drop(shape)
            devices = tuple((each.pool, each.device) for each in _results(shape) if _takes(each))
            if devices:
                self._claims[_key(shape)] = _Claim(devices, pods_of(shape))
                for pool, _ in devices:
                    self._of_pool[pool].add(_key(shape))
                    touched.add(pool)
        return touched

    def drop(self, shape: ClaimShape) -> set[str]:
        """Forget a claim. Gives the pools whose devices it held."""
        old = self._claims.pop(_key(shape), None)
        pools = {pool for pool, _ in old.devices} if old is not None else set()
        for pool in pools:
            self._of_pool[pool].discard(_key(shape))
        return pools

    def held(self, pools: Iterable[str], kinds: dict[tuple[str, str], Device]) -> Sequence[Held]:
        """Every device of these pools that is held, once, with everybody who uses it."""
        found: defaultdict[tuple[str, str], frozenset[str]] = defaultdict(frozenset)
        wanted = set(pools)
        for key in {key for pool in wanted for key in self._of_pool.get(pool, ())}:
            claim = self._claims[key]
            for device in claim.devices:
                if device[0] in wanted:
                    found[device] |= claim.pods
        return [Held(kinds.get(at) or _by_name(at[1]), pods) for at, pods in found.items()]


def pods_of(shape: ClaimShape) -> frozenset[str]:
    """The uids of the pods that a claim is reserved for."""
    users = (shape.status.reserved_for if shape.status is not None else None) or ()
    return frozenset(user.uid for user in users if user.resource == "pods" and user.uid)


def _key(shape: ClaimShape) -> str:
    return shape.metadata.uid or f"{shape.metadata.namespace}/{shape.metadata.name}"


def _results(shape: ClaimShape) -> Sequence[Allocated]:
    allocation = shape.status.allocation if shape.status is not None else None
    return (allocation.devices.results if allocation and allocation.devices else None) or ()


def _takes(result: Allocated) -> bool:
    return result.driver == DRIVER and not result.admin_access


def _offered(device: DeviceEntry) -> tuple[str, Device, bool]:
    """A device by its name, its kind, and whether it is on offer: not tainted, and no instance that could only be made."""
    own = device.own
    attributes = own.attributes or {}
    told = attributes.get(_TYPE) or attributes.get(f"{DRIVER}/{_TYPE}")
    try:
        kind = Device((told.string if told is not None else None) or "")
    except ValueError:
        kind = _by_name(device.name)
    tainted = any(taint.effect in _HARD for taint in own.taints or ())
    possible = kind is Device.MIG and bool(own.consumes_counters)
    return device.name, kind, not tainted and not possible


def _by_name(device: str) -> Device:
    """What NVIDIA's driver calls so: `gpu-0`, `gpu-0-mig-9-4-4`, `gpu-vfio-0`."""
    if "-mig-" in device:
        return Device.MIG
    return Device.OTHER if "vfio" in device else Device.GPU
