"""Which node to look at next: those that want attention, worst first, round and round."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.groups import GroupKey
from fleet.node import NodeKey
from fleet.severity import Severity
from fleet.store import FleetStore

WANTS_ATTENTION = Severity.SUSPECT
"""From this severity on; a node that is closed on purpose does not call for anybody."""


def first_to_look_at(shown: Sequence[NodeKey], store: FleetStore) -> NodeKey | None:
    """The node with the worst problem, else the first one; None where there is none."""
    return next_trouble(shown, store, None) or next(iter(shown), None)


def next_trouble(
    shown: Sequence[NodeKey], store: FleetStore, at: NodeKey | GroupKey | None
) -> NodeKey | None:
    """The node after `at` in the order of trouble; the worst where `at` is none of them; None where all is well."""
    rows = [row for row in map(store.record, shown) if row is not None and row.severity >= WANTS_ATTENTION]
    rows.sort(key=lambda row: (-row.severity, row.order))
    keys = [row.key for row in rows]
    if not keys:
        return None
    return keys[(keys.index(at) + 1) % len(keys)] if isinstance(at, NodeKey) and at in keys else keys[0]
