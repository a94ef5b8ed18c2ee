"""Drift: which versions the nodes of each category run, what is expected of them, and who is odd.

What the category declares is expected; where it declares nothing, the value that more of its nodes have than any other. Unknown is
a value of its own: never equal to what is expected, and never odd either. Pure, and quick enough for 10,000 nodes a look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from fleet.naming import natural
from fleet.node import NodeKey
from fleet.policy import Policy
from fleet.row import FleetRow


class Aspect(Enum):
    """What is compared. The value is the column's title."""

    IMAGE = "image"
    DRIVER = "driver"
    CUDA = "CUDA"
    VBIOS = "VBIOS"
    DCGM = "DCGM"
    KERNEL = "kernel"
    OS = "OS"
    AGENT = "agent"
    RUNTIME = "runtime"
    NIC = "NIC firmware"
    BMC = "BMC firmware"
    GPUS = "GPUs"
    MODEL = "GPU model"


@dataclass(frozen=True, slots=True)
class Versions:
    """What telemetry says of a node's versions, each empty where it does not. Several values of one node are joined by ` + `."""

    driver: str = ""
    cuda: str = ""
    vbios: str = ""
    dcgm: str = ""


NO_VERSIONS = Versions()


@dataclass(frozen=True, slots=True)
class Share:
    """The nodes of a cell that have one value; `value` empty is unknown. `expected`: it is what is wanted of them."""

    value: str
    nodes: tuple[NodeKey, ...]
    expected: bool = False

    @property
    def odd(self) -> bool:
        return bool(self.value) and not self.expected


@dataclass(frozen=True, slots=True)
class DriftCell:
    """One aspect of one category. `expected` empty: nothing is, for no value leads; `declared` where the category says it."""

    aspect: Aspect
    shares: tuple[Share, ...]
    expected: str = ""
    declared: bool = False

    @property
    def odd(self) -> tuple[NodeKey, ...]:
        """The nodes whose value is known and is not what is expected."""
        return tuple(node for share in self.shares if share.odd for node in share.nodes)

    @property
    def unknown(self) -> tuple[NodeKey, ...]:
        return next((share.nodes for share in self.shares if not share.value), ())

    @property
    def known(self) -> bool:
        return any(share.value for share in self.shares)


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One category, with a cell for each aspect of the matrix."""

    category: str
    nodes: int
    cells: tuple[DriftCell, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """The categories by name. `aspects` are those known of at least one node; `unknown` those that nobody tells."""

    rows: tuple[DriftRow, ...] = ()
    aspects: tuple[Aspect, ...] = ()
    unknown: tuple[Aspect, ...] = tuple(Aspect)

    @property
    def odd(self) -> int:
        """How many nodes are odd in at least one aspect."""
        return len({node for row in self.rows for cell in row.cells for node in cell.odd})


Values = tuple[str, ...]
"""One node's value of each aspect, in the order of `Aspect`."""


def values_of(row: FleetRow, told: Versions = NO_VERSIONS) -> Values:
    """What a node has of each aspect, empty where it is unknown. Where its label and its driver disagree both are said."""
    node = row.node
    software = node.software
    labelled = dict(software.labelled) if software.labelled else {}
    gpus = node.gpus_capacity
    return (
        node.image.running or "",
        _both(software.driver, told.driver),
        software.cuda or told.cuda,
        told.vbios,
        told.dcgm or labelled.get("dcgm", ""),
        software.kernel,
        software.os_image,
        _agents(row),
        software.runtime,
        labelled.get("nic", ""),
        labelled.get("bmc", ""),
        "" if gpus is None else str(gpus),
        software.gpu_product,
    )


def _agents(row: FleetRow) -> str:
    """The version of the node's agent; of a machine with a kubelet and a slurmd both."""
    own, twin = row.node.software.agent, row.twin.software.agent if row.twin is not None else ""
    return f"{own}, {twin}" if own and twin else own or twin


def _both(labelled: str, told: str) -> str:
    if not labelled or not told or labelled == told:
        return labelled or told
    return f"{labelled} (its GPUs say {told})"


def matrix_of(
    rows: Iterable[FleetRow], policy: Policy, told: Mapping[NodeKey, Versions] | None = None
) -> Matrix:
    """The matrix of these nodes, a machine of two sides once. `told` are versions that telemetry tells, by node."""
    versions = told or {}
    alike: dict[tuple[str, Values], list[FleetRow]] = {}
    for row in rows:
        if not row.shown:
            continue
        values = values_of(row, versions.get(row.node.key, NO_VERSIONS))
        alike.setdefault((row.node.category, values), []).append(row)
    categories: dict[str, list[tuple[Values, list[FleetRow]]]] = {}
    for (category, values), found in alike.items():
        categories.setdefault(category, []).append((values, found))
    aspects = tuple(Aspect)
    known = [any(values[place] for _, values in alike) for place in range(len(aspects))]
    shown = tuple(aspect for aspect, is_known in zip(aspects, known, strict=True) if is_known)
    return Matrix(
        tuple(_row(name, categories[name], shown, policy) for name in sorted(categories, key=natural)),
        shown,
        tuple(aspect for aspect in aspects if aspect not in shown),
    )


_PLACES = {aspect: place for place, aspect in enumerate(Aspect)}


def _row(
    category: str, groups: Sequence[tuple[Values, list[FleetRow]]], aspects: Iterable[Aspect], policy: Policy
) -> DriftRow:
    declared = declared_of(category, [row for _, rows in groups for row in rows[:1]], policy)
    cells = tuple(_cell(aspect, groups, declared.get(aspect, "")) for aspect in aspects)
    return DriftRow(category, sum(len(rows) for _, rows in groups), cells)


def declared_of(category: str, samples: Iterable[FleetRow], policy: Policy) -> Mapping[Aspect, str]:
    """What is declared of a category. The image wanted may stand on its nodes too: it counts where they all want one."""
    rules = policy.category(category)
    wanted = {row.node.image.desired for row in samples}
    image = rules.desired_image if len(wanted) != 1 else next(iter(wanted))
    declared = {
        Aspect.IMAGE: image,
        Aspect.DRIVER: rules.driver,
        Aspect.CUDA: rules.cuda,
        Aspect.VBIOS: rules.vbios,
        Aspect.GPUS: None if rules.expected_gpus is None else str(rules.expected_gpus),
    }
    return {aspect: value for aspect, value in declared.items() if value}


def _cell(aspect: Aspect, groups: Sequence[tuple[Values, list[FleetRow]]], declared: str) -> DriftCell:
    place = _PLACES[aspect]
    by_value: dict[str, list[FleetRow]] = {}
    for values, rows in groups:
        by_value.setdefault(values[place], []).extend(rows)
    expected = declared or leading({value: len(rows) for value, rows in by_value.items() if value})
    shares = tuple(
        Share(value, _keys(rows, ordered=value != expected), value == expected and bool(value))
        for value, rows in sorted(
            by_value.items(), key=lambda item: (item[0] != expected, not item[0], -len(item[1]), item[0])
        )
    )
    return DriftCell(aspect, shares, expected, bool(declared))


def leading(counts: Mapping[str, int]) -> str:
    """The value that more nodes have than any other; empty where two lead together, or nothing is known."""
    most = sorted(counts.values(), reverse=True)[:2]
    if not most or (len(most) == 2 and most[0] == most[1]):
        return ""
    return max(counts, key=counts.__getitem__)


def _keys(rows: Sequence[FleetRow], *, ordered: bool) -> tuple[NodeKey, ...]:
    """The nodes' keys, in the order of their names where they are to be named."""
    found = sorted(rows, key=lambda row: row.order) if ordered else rows
    return tuple([row.node.key for row in found])
