"""The fleet as last seen: absolute facts in, "what changed since revision N" out.

The store has no clock, calls nobody and is not thread-safe: one task applies, everybody on that task's loop reads. It is a
client's copy of what the orchestrators say, never a second source of truth.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import NamedTuple, TypeVar

from fleet.feeds import FeedState
from fleet.flag import Flag
from fleet.groups import FleetGroups, group_of
from fleet.machine import Pair
from fleet.node import Node, NodeKey
from fleet.observation import (
    AlertsSeen,
    FeedChanged,
    FlagsSeen,
    LastKnown,
    Listed,
    NodeGone,
    NodeSeen,
    Observation,
    TelemetrySeen,
    WorkSeen,
)
from fleet.pairs import Pairs
from fleet.policy import Policy
from fleet.row import FleetRow, row_of
from fleet.telemetry import Alert, NodeTelemetry
from fleet.workload import NodeWork

REMEMBERED = 65_536
"""How many changes are remembered, and how many facets are kept for nodes not seen yet."""

_measured = attrgetter(
    "gpus_seen",
    "gpu_util",
    "gpu_util_min",
    "gpu_util_max",
    "gpu_temp_max",
    "temp_margin_min",
    "fb_used_ratio",
    "power_watts",
    "xid",
    "xid_at",
    "xids",
    "row_remap_failure",
    "remap_pending",
    "remapped_rows",
    "ecc_dbe",
    "slowed",
    "recovery_action",
    "idle_held",
    "idle_holder",
)
_Facet = TypeVar("_Facet", NodeWork, NodeTelemetry)
_enforced = attrgetter("uid", "stage", "admission", "readiness", "holds", "deleting")


class FeedKey(NamedTuple):
    """A feed's name within its source, like `prod/nodes`."""

    source: str
    name: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since a revision. `revision` is where the store stands: ask from there the next time.

    `keys` are nodes that are there and differ; `removed` are gone. `structure_changed`: a node came, went or changed its
    group. `everything`: too much happened to tell, so read all anew; the sets are empty then.
    """

    revision: int
    keys: frozenset[NodeKey] = frozenset()
    removed: frozenset[NodeKey] = frozenset()
    feeds: frozenset[FeedKey] = frozenset()
    structure_changed: bool = False
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.everything or self.keys or self.removed or self.feeds)


class FleetStore:
    """Nodes by (source, name), each with its facets node, work and telemetry, none of which rewrites another.

    A fact equal to what is known makes no revision. Neither does one that only renews when something was last heard
    (a feed's `heard`, telemetry's `at`): it is kept, and nothing is to be painted for it.
    """

    def __init__(self, policy: Policy | None = None, *, remembered: int = REMEMBERED) -> None:
        self._policy = policy or Policy()
        self._rows: dict[NodeKey, FleetRow] = {}
        self._pairs = Pairs(self._policy.joins)
        self._feeds: dict[FeedKey, FeedState] = {}
        self._last_known: dict[str, datetime] = {}
        self._groups = FleetGroups()
        self._revision = 0
        self._structure = 0
        self._remembered = remembered
        # One entry a revision: the newest is the current one. What is in it and no longer in the rows is a tombstone.
        self._log: deque[NodeKey | FeedKey] = deque(maxlen=remembered)
        self._early_work: OrderedDict[NodeKey, NodeWork] = OrderedDict()
        self._early_telemetry: OrderedDict[NodeKey, NodeTelemetry] = OrderedDict()

    @property
    def revision(self) -> int:
        """Counts changes. 0 is an empty store."""
        return self._revision

    @property
    def structure_revision(self) -> int:
        """The revision at which a node last came, went or changed its group."""
        return self._structure

    @property
    def policy(self) -> Policy:
        return self._policy

    @property
    def groups(self) -> FleetGroups:
        """Totals of the fleet and its groups, always up to date."""
        return self._groups

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: NodeKey) -> bool:
        return key in self._rows

    def record(self, key: NodeKey) -> FleetRow | None:
        """One node as last seen, None for one that is not there."""
        return self._rows.get(key)

    def rows(self) -> Collection[FleetRow]:
        """All nodes, in no order. A live view: copy it to keep it."""
        return self._rows.values()

    @property
    def rows_by_key(self) -> Mapping[NodeKey, FleetRow]:
        """All nodes by their keys, in no order. A live view, for a walk over many."""
        return self._rows

    def feed_states(self) -> tuple[FeedState, ...]:
        """Every feed's last state, by source and name."""
        return tuple(self._feeds[key] for key in sorted(self._feeds))

    @property
    def last_known(self) -> Mapping[str, datetime]:
        """Sources that have not been listed in this run and are shown as an earlier one saw them, and when it did."""
        return self._last_known

    def pending(self, key: NodeKey) -> str:
        """What was asked of a node and is not seen yet, empty if nothing is."""
        row = self._rows.get(key)
        return row.pending if row is not None else ""

    def apply(self, observation: Observation) -> int:
        """Take in one fact; the revision after it."""
        match observation:
            case TelemetrySeen(key, telemetry):
                self._telemetry_seen(key, telemetry)
            case WorkSeen(key, work):
                self._work_seen(key, work)
            case NodeSeen(node):
                self._node_seen(node)
            case NodeGone(key):
                self._gone(key)
            case Listed(source, names):
                self._remove_absent(source, names)
                self._last_known_at(source, None)
            case LastKnown(source, at):
                self._last_known_at(source, at)
            case AlertsSeen(key, alerts):
                self._alerts_seen(key, alerts)
            case FlagsSeen(key, flags):
                self._flags_seen(key, flags)
            case FeedChanged(state):
                self._feed_changed(state)
        return self._revision

    def apply_all(self, observations: Iterable[Observation]) -> int:
        """Take in facts in their order; the revision after them."""
        for observation in observations:
            self.apply(observation)
        return self._revision

    def changes_since(self, revision: int) -> Changes:
        """What changed after `revision`. Costs as much as happened since, whatever the fleet's size."""
        behind = self._revision - revision
        if behind < 0 or behind > len(self._log):
            return Changes(self._revision, structure_changed=True, everything=True)
        touched = set(islice(reversed(self._log), behind))
        feeds = frozenset(key for key in touched if isinstance(key, FeedKey))
        nodes = frozenset(key for key in touched if isinstance(key, NodeKey))
        removed = frozenset(key for key in nodes if key not in self._rows)
        return Changes(
            self._revision,
            keys=nodes - removed,
            removed=removed,
            feeds=feeds,
            structure_changed=self._structure > revision,
        )

    def mark_pending(self, key: NodeKey, text: str | None) -> None:
        """Say on a node's row what was asked of it, until the feed shows that its state moved, or `text` is None."""
        row = self._rows.get(key)
        if row is not None and row.pending != (text or ""):
            self._put(row, replace(row, pending=text or "", revision=self._revision + 1))

    def adopt(self, policy: Policy) -> None:
        """Judge the whole fleet by another policy; every reader then reads everything anew."""
        self._policy = policy
        self._revision += 1
        self._structure = self._revision
        self._log.clear()
        self._pairs = Pairs(policy.joins)
        for row in self._rows.values():
            self._pairs.put(row.node, row.own_work)
        for key, row in self._rows.items():
            self._rows[key] = row_of(
                row.node,
                row.own_work,
                row.telemetry,
                policy,
                revision=self._revision,
                pending=row.pending,
                order=row.order,
                alerts=row.alerts,
                pair=self._pair_of(key),
                flags=row.flags,
            )
        self._groups = FleetGroups.of(row for row in self._rows.values() if row.shown)

    def _node_seen(self, node: Node) -> None:
        key = node.key
        row = self._rows.get(key)
        if row is None:
            work = self._early_work.pop(key, None)
            telemetry = self._early_telemetry.pop(key, None)
            self._put(None, row_of(node, work, telemetry, self._policy, revision=self._revision + 1))
        elif row.node != node:
            pending = row.pending if _enforced(row.node) == _enforced(node) else ""
            self._change(row, node, row.own_work, row.telemetry, pending)

    def _work_seen(self, key: NodeKey, work: NodeWork | None) -> None:
        row = self._rows.get(key)
        if row is None:
            self._keep(self._early_work, key, work)
        elif row.own_work != work:
            self._change(row, row.node, work, row.telemetry, row.pending)

    def _telemetry_seen(self, key: NodeKey, telemetry: NodeTelemetry | None) -> None:
        row = self._rows.get(key)
        if row is None:
            self._keep(self._early_telemetry, key, telemetry)
        elif row.telemetry is None or telemetry is None:
            if row.telemetry is not telemetry:
                self._change(row, row.node, row.own_work, telemetry, row.pending)
        elif _measured(row.telemetry) != _measured(telemetry):
            self._change(row, row.node, row.own_work, telemetry, row.pending)
        elif row.telemetry.at != telemetry.at:
            self._rows[key] = replace(row, telemetry=telemetry)

    def _alerts_seen(self, key: NodeKey, alerts: tuple[Alert, ...]) -> None:
        """Whoever tells of alerts knows the nodes first, so those of an unknown node are nobody's."""
        row = self._rows.get(key)
        if row is not None and row.alerts != alerts:
            self._change(row, row.node, row.own_work, row.telemetry, row.pending, alerts=alerts)

    def _flags_seen(self, key: NodeKey, flags: tuple[Flag, ...]) -> None:
        row = self._rows.get(key)
        if row is not None and row.flags != flags:
            self._change(row, row.node, row.own_work, row.telemetry, row.pending, flags=flags)

    def _gone(self, key: NodeKey) -> None:
        row = self._rows.pop(key, None)
        if row is None:
            return
        # The work feed goes on speaking of a node that is made anew; telemetry of another boot must not colour it.
        self._keep(self._early_work, key, row.own_work)
        self._groups.replace(row if row.shown else None, None)
        self._note(key, structural=True)
        if self._pairs:
            self._tie(self._pairs.drop(key))

    def _remove_absent(self, source: str, names: frozenset[str]) -> None:
        for key in [key for key in self._rows if key.source == source and key.name not in names]:
            self._gone(key)

    def _last_known_at(self, source: str, at: datetime | None) -> None:
        """The dictionary is made anew, so that whoever painted by the old one can tell."""
        if self._last_known.get(source) != at:
            kept = {name: when for name, when in self._last_known.items() if name != source}
            self._last_known = kept if at is None else {**kept, source: at}
            self._note(FeedKey(source, "nodes"), structural=False)

    def _feed_changed(self, state: FeedState) -> None:
        key = FeedKey(state.source, state.name)
        known = self._feeds.get(key)
        self._feeds[key] = state
        if known is None or replace(known, heard=state.heard) != state:
            self._note(key, structural=False)

    def _keep(self, early: OrderedDict[NodeKey, _Facet], key: NodeKey, facet: _Facet | None) -> None:
        if facet is None:
            early.pop(key, None)
            return
        early[key] = facet
        if len(early) > self._remembered:
            early.popitem(last=False)

    def _change(
        self,
        row: FleetRow,
        node: Node,
        work: NodeWork | None,
        telemetry: NodeTelemetry | None,
        pending: str,
        *,
        alerts: tuple[Alert, ...] | None = None,
        flags: tuple[Flag, ...] | None = None,
    ) -> None:
        changed = row_of(
            node,
            work,
            telemetry,
            self._policy,
            revision=self._revision + 1,
            pending=pending,
            order=row.order,
            alerts=row.alerts if alerts is None else alerts,
            pair=row.pair,
            flags=row.flags if flags is None else flags,
        )
        self._put(row, changed)

    def _put(self, old: FleetRow | None, new: FleetRow) -> None:
        key = new.node.key
        if not self._pairs or (old is not None and old.node is new.node and old.own_work is new.own_work):
            self._lay(old, new)
            return
        touched = self._pairs.put(new.node, new.own_work)
        self._rows[key] = new
        self._lay(old, self._tied(new, self._pair_of(key)))
        self._tie(each for each in touched if each != key)

    def _lay(self, old: FleetRow | None, new: FleetRow) -> None:
        # The first key object stays: rows of one node share it.
        self._rows[new.node.key] = new
        self._groups.replace(old if old is not None and old.shown else None, new if new.shown else None)
        moved = old is None or old.shown is not new.shown or group_of(old) != group_of(new)
        self._note(new.node.key, structural=moved)

    def _tie(self, keys: Iterable[NodeKey]) -> None:
        """Bring rows up to date with what their machines' other sides are now."""
        for key in keys:
            row = self._rows.get(key)
            if row is not None and (tied := self._tied(row, self._pair_of(key))) is not row:
                self._lay(row, tied)

    def _tied(self, row: FleetRow, pair: Pair | None) -> FleetRow:
        """The row with this other side; the same one where it has that already."""
        if pair == row.pair:
            return row
        return row_of(
            row.node,
            row.own_work,
            row.telemetry,
            self._policy,
            revision=self._revision + 1,
            pending=row.pending,
            order=row.order,
            alerts=row.alerts,
            pair=pair,
            flags=row.flags,
        )

    def _pair_of(self, key: NodeKey) -> Pair | None:
        """The other side of a node's machine; without a twin where more than one names it, or is named; None where none is."""
        partners = [each for each in self._pairs.partners(key) if each in self._rows] if self._pairs else []
        if not partners:
            return None
        back = {each for partner in partners for each in self._pairs.partners(partner) if each in self._rows}
        rule = self._pairs.rule_of(key, partners[0])
        slurm = rule.slurm if rule is not None else ""
        if len(partners) > 1 or back != {key}:
            return Pair(slurm=slurm, rivals=tuple(sorted({*partners, *back} - {key})))
        twin = self._rows[partners[0]]
        shown = rule is None or rule.shown == key.source
        return Pair(twin.node, twin.own_work, shown=shown, slurm=slurm)

    def _note(self, key: NodeKey | FeedKey, *, structural: bool) -> None:
        self._revision += 1
        self._log.append(key)
        if structural:
            self._structure = self._revision
