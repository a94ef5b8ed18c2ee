"""The machine under a node: its GPUs, its boots, what is wrong with it, and who holds which GPU.

A Node object comes and goes with a reimage; the machine stays, with its serial numbers and its physical faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from backends.simulated.chance import fraction, identity
from backends.simulated.faults import Fault, FaultKind
from backends.simulated.fleet_plan import FleetPlan
from backends.simulated.hardware import CategoryPlan

_BUSES = ("1b", "43", "52", "61", "9d", "c3", "d1", "df")
_NVLINK_BYTES_PER_SECOND = 180e9


class Phase(Enum):
    """What a machine is doing. A machine whose Node is gone is OFF."""

    OFF = "off"
    IMAGING = "imaging"
    BOOTING = "booting"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Holder:
    """The pod that holds a GPU. `busy` is the mean utilisation it causes, 0 to 1."""

    namespace: str
    pod: str
    container: str
    uid: str
    busy: float


@dataclass(slots=True)
class Meter:
    """What a GPU has counted since its boot, exact up to `since` (simulated seconds)."""

    since: float
    energy_mj: float = 0.0
    nvlink_mb: float = 0.0


@dataclass(slots=True)
class Machine:
    """One machine. GPUs are counted by index, from 0 to `category.gpus`."""

    name: str
    category: CategoryPlan
    seed: int
    image: str
    number: int = 0  # in the order of the hall; addresses follow from it
    phase: Phase = Phase.OFF
    boots: int = 0
    booted_at: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    holders: list[Holder | None] = field(default_factory=list)
    meters: list[Meter] = field(default_factory=list)
    xids: dict[int, int] = field(
        default_factory=dict
    )  # the last code of each GPU, until the exporter restarts

    def __post_init__(self) -> None:
        self._clear(0.0)

    def _clear(self, at: float) -> None:
        self.holders = [None] * self.category.gpus
        self.meters = [Meter(at) for _ in range(self.category.gpus)]
        self.xids = {}
        self.booted_at = at

    @property
    def address(self) -> str:
        return f"10.64.{self.number >> 8}.{self.number & 255}"

    def pod_address(self, turn: int) -> str:
        """The address of the `turn`th pod started there."""
        return f"10.{128 + (self.number >> 8)}.{self.number & 255}.{2 + turn % 250}"

    @property
    def boot_id(self) -> str:
        """What the kernel would name this boot."""
        return identity(self.seed, "boot", self.name, self.boots)

    def gpu_uuid(self, gpu: int) -> str:
        return f"GPU-{identity(self.seed, 'gpu', self.name, gpu)}"

    def bus_id(self, gpu: int) -> str:
        return f"00000000:{_BUSES[gpu % len(_BUSES)].upper()}:00.0"

    def has(self, kind: FaultKind, gpu: int | None = None) -> bool:
        """Whether the machine, or that GPU of it, has such a fault."""
        return any(fault.kind is kind and gpu in (None, fault.gpu) for fault in self.faults)

    @property
    def working_gpus(self) -> list[int]:
        """The GPUs that are on the bus."""
        gone = {fault.gpu for fault in self.faults if fault.takes_gpu}
        return [gpu for gpu in range(self.category.gpus) if gpu not in gone]

    def boot(self, at: float) -> None:
        """Start anew: another boot id, counters at zero, faults that a boot clears gone."""
        self.boots += 1
        self.faults = [fault for fault in self.faults if fault.survives_boot]
        self._clear(at)

    def record(self, fault: Fault) -> None:
        """Have the fault from now on, and the XID it reports."""
        if fault not in self.faults:
            self.faults.append(fault)
        if fault.code and fault.gpu is not None:
            self.xids[fault.gpu] = fault.code

    def restart_exporter(self) -> None:
        """Forget the codes seen, as an exporter does that starts anew."""
        self.xids = {}

    def hold(self, holder: Holder, count: int, at: float) -> list[int]:
        """Give a pod `count` free working GPUs, the lowest first; fewer where there are not as many."""
        free = [gpu for gpu in self.working_gpus if self.holders[gpu] is None][:count]
        for gpu in free:
            self._settle(gpu, at)
            self.holders[gpu] = holder
        return free

    def release(self, uid: str, at: float) -> None:
        """Take back every GPU the pod of that uid holds."""
        for gpu, holder in enumerate(self.holders):
            if holder is not None and holder.uid == uid:
                self._settle(gpu, at)
                self.holders[gpu] = None

    def mean_watts(self, gpu: int) -> float:
        """The power a GPU draws on average under what it does now."""
        model, holder = self.category.model, self.holders[gpu]
        trait = 0.96 + 0.08 * fraction(self.seed, "watts", self.name, gpu)
        return trait * (
            model.idle_watts + (model.full_watts - model.idle_watts) * (holder.busy if holder else 0.0)
        )

    def counted(self, gpu: int, at: float) -> Meter:
        """The counters of a GPU at that time; they never go back within one boot."""
        meter, holder = self.meters[gpu], self.holders[gpu]
        span = max(0.0, at - meter.since)
        linked = holder.busy * _NVLINK_BYTES_PER_SECOND if holder and self.category.model.has_nvlink else 0.0
        return Meter(
            meter.since + span,
            meter.energy_mj + 1000.0 * self.mean_watts(gpu) * span,
            meter.nvlink_mb + linked * span / 1e6,
        )

    def _settle(self, gpu: int, at: float) -> None:
        self.meters[gpu] = self.counted(gpu, at)


class MachineHall:
    """Every machine by name. One that nobody planned is found when first asked for."""

    def __init__(self, plan: FleetPlan) -> None:
        self._plan = plan
        self._machines: dict[str, Machine] = {}
        for node in plan.nodes:
            self._add(Machine(node.name, node.category, plan.seed, node.image))

    def __len__(self) -> int:
        return len(self._machines)

    def __iter__(self) -> Iterator[Machine]:
        return iter(self._machines.values())

    def get(self, name: str) -> Machine | None:
        return self._machines.get(name)

    def find(self, name: str, category: str) -> Machine:
        """The machine of that name; where there is none, a new one of that category."""
        machine = self._machines.get(name)
        if machine is None:
            hardware = self._plan.category(category)
            machine = self._add(Machine(name, hardware, self._plan.seed, hardware.desired))
        return machine

    def _add(self, machine: Machine) -> Machine:
        machine.number = len(self._machines) + 1
        self._machines[machine.name] = machine
        return machine
