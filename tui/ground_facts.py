"""What the dispatcher wants to know of the fleet as it is followed: what is left of each category, and which feeds to doubt."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import zip_longest

from fleet.dispatch import Capacity
from fleet.feeds import FeedHealth
from fleet.node import NodeKey
from fleet.ports import Clock
from fleet.store import FleetStore
from fleet.workload import Rest, WorkloadAt


def capacity(store: FleetStore) -> Capacity:
    """By category: GPUs usable and in all, nodes, and nodes that take no work now."""
    found = {}
    for key in tuple(store.groups.keys()):
        if key.depth == 0:
            totals = store.groups.totals(key)
            out = totals.nodes - totals.in_service
            found[key.category] = (totals.gpus_usable, totals.gpus_capacity, totals.nodes, out)
    return found


def stale(store: FleetStore, clock: Clock) -> Sequence[str]:
    """Feeds of nodes and pods that can't be believed now, so that no verb starts on old facts."""
    now = clock.now()
    return [
        f"{state.source}/{state.name}"
        for state in store.feed_states()
        if state.name in ("nodes", "pods", "jobs")
        and state.believed(now) not in (FeedHealth.LIVE, FeedHealth.STARTING)
    ]


def last_known(store: FleetStore) -> Collection[str]:
    """Sources whose nodes were not listed in this run and are shown as an earlier one saw them."""
    return store.last_known.keys()


def elsewhere(
    store: FleetStore, workloads: Collection[WorkloadAt], nodes: Collection[NodeKey]
) -> Mapping[WorkloadAt, Rest]:
    """Where, beside `nodes`, each of `workloads` is seen to run; one that runs nowhere else is left out."""
    wanted, known = set(workloads), set(nodes)
    found: dict[WorkloadAt, Rest] = {}
    for row in store.rows():
        work = row.own_work
        if work is None or row.key in known:
            continue
        for workload, gpus in zip_longest(work.workloads, work.gpus_of):
            at = (row.key.source, workload)
            if at in wanted:
                before = found.get(at, Rest(0, 0))
                both = None if gpus is None or before.gpus is None else before.gpus + gpus
                found[at] = Rest(before.nodes + 1, both)
    return found
