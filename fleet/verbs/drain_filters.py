"""Which work a drain moves, leaves alone, or stops at: kubectl's filters in kubectl's order, as one pure rule.

The plan shows what this says, and the writer asks it again at the node's turn, so that the two can't differ.
Source of the order: `kubectl drain` (pkg/drain/filters.go, 1.20 to 1.36). Where we differ: work that is stopping already
never stops a drain, for it needs nobody's leave to go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fleet.plan import DrainOptions
from fleet.workload import Keeper, Placement

IGNORE_DAEMONSETS = "--ignore-daemonsets"
DELETE_EMPTYDIR = "--delete-emptydir-data"
FORCE = "--force"


@dataclass(frozen=True, slots=True)
class Stop:
    """A placement that stops the drain, why, and the option that would let it go on."""

    placement: Placement
    says: str
    option: str


@dataclass(frozen=True, slots=True)
class Sorted:
    """A node's placements as a drain sees them. With anything in `blocked`, nothing at all is evicted.

    `evict` must be asked to go; `leaving` is stopping already, or ends in its own time, and is only waited for; `leave` belongs
    to the node itself.
    """

    evict: tuple[Placement, ...] = ()
    leaving: tuple[Placement, ...] = ()
    leave: tuple[Placement, ...] = ()
    blocked: tuple[Stop, ...] = ()

    @property
    def must_go(self) -> tuple[Placement, ...]:
        return self.evict + self.leaving


def sort_placements(placements: Iterable[Placement], options: DrainOptions) -> Sorted:
    """Sort `placements` by what a drain with `options` does with each. Order within each part is kept."""
    evict: list[Placement] = []
    leaving: list[Placement] = []
    leave: list[Placement] = []
    blocked: list[Stop] = []
    for placement in placements:
        if placement.keeper is Keeper.MIRROR:
            leave.append(placement)
        elif placement.keeper is Keeper.DAEMON:
            leave.append(placement)
            if not options.ignore_daemonsets and not _going(placement):
                blocked.append(
                    Stop(placement, "belongs to a DaemonSet, which would bring it back", IGNORE_DAEMONSETS)
                )
        elif placement.terminating_since is not None or (placement.waits and not options.requeue):
            leaving.append(placement)
        elif stops := _stops(placement, options):
            blocked.extend(stops)
        else:
            evict.append(placement)
    return Sorted(tuple(evict), tuple(leaving), tuple(leave), tuple(blocked))


def _stops(placement: Placement, options: DrainOptions) -> Sequence[Stop]:
    """Every option the placement would need, so that a person is asked once. Finished work needs none."""
    if placement.finished:
        return ()
    stops: list[Stop] = []
    if placement.loses_scratch and not options.delete_emptydir:
        stops.append(
            Stop(placement, "keeps scratch data on the node (emptyDir), which would be lost", DELETE_EMPTYDIR)
        )
    if placement.keeper is Keeper.NOBODY and not options.force:
        lost = (
            "can't be requeued, so it would be lost"
            if placement.waits
            else "has no controller that would bring it back"
        )
        stops.append(Stop(placement, lost, FORCE))
    return stops


def _going(placement: Placement) -> bool:
    return placement.finished or placement.terminating_since is not None
