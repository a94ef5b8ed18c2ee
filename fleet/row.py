"""One node with its three facets, as the store keeps it, and what is worked out of them once for every change."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.extremes import Extremes, extremes_of
from fleet.flag import Flag
from fleet.holder import Hold
from fleet.machine import Pair, together
from fleet.naming import natural
from fleet.node import Node, NodeKey
from fleet.policy import Policy
from fleet.severity import Severity, worst_of
from fleet.tally import tally_of
from fleet.telemetry import Alert, NodeTelemetry
from fleet.workload import NodeWork


@dataclass(frozen=True, slots=True)
class FleetRow:
    """A node as the fleet knows it. `work` and `telemetry` are None where they are unknown; `alerts` fire in the site's monitoring;
    `flags` are passive checks that it has begun to fail while it is in service.

    `pending` says what was asked of the node and is not seen yet, empty if nothing is. `revision` is the store's when the
    row last changed. The rest is derived: `order` sorts by name (numbers as numbers), `severity` leaves the time out,
    `tally` and `extremes` are the node's share of its groups' totals. Where the node is one side of a machine, `pair` is the other,
    and `work` that of both; `own_work` is this side's alone.
    """

    node: Node
    work: NodeWork | None
    telemetry: NodeTelemetry | None
    revision: int
    pending: str
    order: str
    severity: Severity
    tally: int
    extremes: Extremes
    alerts: tuple[Alert, ...] = ()
    own_work: NodeWork | None = None
    pair: Pair | None = None
    flags: tuple[Flag, ...] = ()

    @property
    def key(self) -> NodeKey:
        return self.node.key

    @property
    def shown(self) -> bool:
        """Whether this row stands for its machine; the other side of a pair is neither listed nor counted."""
        return self.pair is None or self.pair.shown

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Every hold on the node, and on its machine's other side."""
        return self.node.holds if self.twin is None else (*self.node.holds, *self.twin.holds)

    @property
    def twin(self) -> Node | None:
        """The machine's node in the other source; None where there is none, or several claim to be it."""
        return self.pair.twin if self.pair is not None else None


def order_of(key: NodeKey) -> str:
    """The sort key of a node's name; its name as written and its source settle ties."""
    return f"{natural(key.name)}\0{key.name}\0{key.source}"


def row_of(
    node: Node,
    work: NodeWork | None,
    telemetry: NodeTelemetry | None,
    policy: Policy,
    *,
    revision: int = 0,
    pending: str = "",
    order: str = "",
    alerts: tuple[Alert, ...] = (),
    pair: Pair | None = None,
    flags: tuple[Flag, ...] = (),
) -> FleetRow:
    """A row with all that is derived. `order` may be handed in where it is known from the row before."""
    worst = worst_of(node, telemetry, policy, alerts, pair, flags)
    severity = worst.severity if worst is not None else Severity.OK
    does = together(work, pair)
    return FleetRow(
        node=node,
        work=does,
        telemetry=telemetry,
        revision=revision,
        pending=pending,
        order=order or order_of(node.key),
        severity=severity,
        tally=tally_of(node, does, telemetry, severity, policy, pair),
        extremes=extremes_of(telemetry, worst),
        alerts=alerts,
        own_work=work,
        pair=pair,
        flags=flags,
    )
