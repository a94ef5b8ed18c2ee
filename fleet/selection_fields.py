"""The fields a selection may name, and how each is read from a row.

Four kinds: a text, several texts, a number (None is unknown) and a choice from a fixed list. Names follow
`quarterdeck nodes --json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from fleet.health import Verdict
from fleet.node import Admission, NodeKey, Readiness, Stage
from fleet.row import FleetRow
from fleet.severity import Severity


@dataclass(frozen=True, slots=True)
class TextField:
    """One text, empty where it is unknown."""

    name: str
    says: str
    read: Callable[[FleetRow], str]


@dataclass(frozen=True, slots=True)
class ListField:
    """Several texts, of which one must match."""

    name: str
    says: str
    read: Callable[[FleetRow], Iterable[str]]


@dataclass(frozen=True, slots=True)
class NumberField:
    """A number, None where it is unknown. `ratio`: from 0 to 1, also written as a percentage."""

    name: str
    says: str
    read: Callable[[FleetRow], float | None]
    ratio: bool = False


@dataclass(frozen=True, slots=True)
class ChoiceField:
    """One of `choices`. `ordered`: they rank from first to last, so `<` and `>` mean something."""

    name: str
    says: str
    read: Callable[[FleetRow], str]
    choices: tuple[str, ...]
    ordered: bool = False


Field = TextField | ListField | NumberField | ChoiceField

_READY = {Readiness.READY: "yes", Readiness.NOT_READY: "no", Readiness.UNKNOWN: "unknown"}
_DRIFT = {True: "yes", False: "no", None: "unknown"}
_YES_NO = ("yes", "no", "unknown")


@lru_cache(maxsize=1024)
def image_names(reference: str) -> tuple[str, ...]:
    """What an image may be called: its whole reference, its last part, its tag (`registry/gpu:v2`, `gpu:v2`, `v2`)."""
    last = reference.rpartition("/")[2]
    tag = last.rpartition(":")[2]
    return tuple(dict.fromkeys((reference, last, tag)))


def _sides(row: FleetRow) -> list[NodeKey]:
    """The node, and its machine's node in another source."""
    return [row.node.key, row.twin.key] if row.twin is not None else [row.node.key]


def _categories(row: FleetRow) -> Iterable[str]:
    sides = (row.node,) if row.twin is None else (row.node, row.twin)
    return [side.category for side in sides if side.category]


def _image(row: FleetRow) -> Iterable[str]:
    running = row.node.image.running
    return image_names(running) if running else ()


def _desired(row: FleetRow) -> Iterable[str]:
    desired = row.node.image.desired
    return image_names(desired) if desired else ()


def _health(row: FleetRow) -> str:
    gate = row.node.gate
    return gate.verdict.value.lower() if gate is not None else "none"


def _workloads(row: FleetRow) -> Iterable[str]:
    if row.work is None:
        return ()
    return [text for workload in row.work.workloads for text in (workload.name, str(workload))]


def _gpu_util(row: FleetRow) -> float | None:
    return row.telemetry.gpu_util if row.telemetry is not None else None


def _gpu_temp(row: FleetRow) -> float | None:
    return row.telemetry.gpu_temp_max if row.telemetry is not None else None


def _fb_used(row: FleetRow) -> float | None:
    return row.telemetry.fb_used_ratio if row.telemetry is not None else None


def _power(row: FleetRow) -> float | None:
    return row.telemetry.power_watts if row.telemetry is not None else None


def _xid(row: FleetRow) -> float | None:
    return row.telemetry.xid if row.telemetry is not None else None


def _gpus_used(row: FleetRow) -> float | None:
    return row.work.gpus_used if row.work is not None else None


def _work_count(row: FleetRow) -> float | None:
    return len(row.work.workloads) if row.work is not None else None


def _of(name: str) -> Callable[[FleetRow], float | None]:
    def read(row: FleetRow) -> float | None:
        value: float | None = getattr(row.telemetry, name) if row.telemetry is not None else None
        return value

    return read


_ALL: tuple[Field, ...] = (
    ListField("name", "the node's name, in either source", lambda row: [key.name for key in _sides(row)]),
    ListField("source", "the orchestrators that report it", lambda row: [key.source for key in _sides(row)]),
    ListField("category", "its category, in either source", _categories),
    ListField("image", "the image it runs: whole, last part or tag", _image),
    ListField("desired_image", "the image its category wants", _desired),
    ChoiceField(
        "stage",
        "where it is in its life",
        lambda row: row.node.stage.value,
        tuple(stage.value for stage in Stage),
    ),
    ChoiceField(
        "admission",
        "whether new work may land",
        lambda row: row.node.admission.value,
        tuple(admission.value for admission in Admission),
    ),
    ChoiceField("ready", "what its agent says", lambda row: _READY[row.node.readiness], _YES_NO),
    ChoiceField(
        "drift", "running and desired image differ", lambda row: _DRIFT[row.node.image.drifted], _YES_NO
    ),
    ChoiceField(
        "health",
        "its last gate's verdict",
        _health,
        (*(verdict.value.lower() for verdict in Verdict), "none"),
    ),
    ChoiceField(
        "concern",
        "the worst that is wrong with it",
        lambda row: row.severity.name.lower(),
        tuple(severity.name.lower() for severity in Severity),
        ordered=True,
    ),
    ListField("holder", "who keeps it closed", lambda row: [hold.by for hold in row.holds if hold.by]),
    ListField("reason", "why it is closed", lambda row: [hold.reason for hold in row.holds if hold.reason]),
    ListField("workload", "the name of work on it", _workloads),
    NumberField("workloads", "how many workloads are on it", _work_count),
    NumberField("gpus", "GPUs it has", lambda row: row.node.gpus_capacity),
    NumberField("gpus_allocatable", "GPUs it advertises", lambda row: row.node.gpus_allocatable),
    NumberField("gpus_used", "GPUs its work has asked for", _gpus_used),
    NumberField("gpu_util", "mean utilisation of its GPUs, percent", _gpu_util),
    NumberField("gpu_temp", "its hottest GPU, degrees Celsius", _gpu_temp),
    NumberField("gpu_margin", "degrees its GPUs have left before they slow down", _of("temp_margin_min")),
    NumberField("gpu_util_min", "utilisation of its least used GPU, percent", _of("gpu_util_min")),
    NumberField("idle_held", "GPUs that somebody holds and has not used for 15 minutes", _of("idle_held")),
    NumberField("fb_used", "framebuffer used, 0 to 1 or percent", _fb_used, ratio=True),
    NumberField("power", "watts of its GPUs together", _power),
    NumberField("xid", "the last XID, 0 for none", _xid),
    TextField("zone", "where it stands", lambda row: row.node.topology.zone),
    TextField("rack", "where it stands", lambda row: row.node.topology.rack),
    TextField("switch", "what it hangs on", lambda row: row.node.topology.switch),
    TextField("clique", "its NVLink domain", lambda row: row.node.topology.clique),
    TextField("driver", "its GPU driver", lambda row: row.node.software.driver),
    TextField("cuda", "the CUDA version of its driver", lambda row: row.node.software.cuda),
    TextField("kernel", "its kernel", lambda row: row.node.software.kernel),
    TextField("os", "its operating system", lambda row: row.node.software.os_image),
    TextField("agent", "its kubelet's or slurmd's version", lambda row: row.node.software.agent),
    TextField("runtime", "what runs its containers", lambda row: row.node.software.runtime),
    TextField("product", "its GPU model", lambda row: row.node.software.gpu_product),
    TextField("owner", "what owns it: a Machine, a NodeClaim", lambda row: row.node.owner),
    TextField("operation", "our operation on it", lambda row: row.node.operation),
    ListField(
        "condition",
        "a bad condition's type",
        lambda row: [condition.type for condition in row.node.conditions if condition.bad],
    ),
    ListField("taint", "a taint's key", lambda row: [taint.key for taint in row.node.taints]),
)

FIELDS: Mapping[str, Field] = {field.name: field for field in _ALL}
"""Every field by its name."""

ALIASES: Mapping[str, str] = {
    "gpu_temp_max": "gpu_temp",
    "fb_used_ratio": "fb_used",
    "power_watts": "power",
    "temp_margin_min": "gpu_margin",
    "running": "image",
    "gpus_capacity": "gpus",
}
"""Other names of fields, as the JSON of `nodes` spells them."""
