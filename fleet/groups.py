"""Sums over categories and their image versions, kept so that one node's change costs one change, not a walk of the fleet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fleet.extremes import Histograms
from fleet.row import FleetRow
from fleet.tally import Totals, totals_of


class GroupKey(NamedTuple):
    """A category (`depth` 0), or one image version in it (`depth` 1; `image` None: the running image is unknown).

    Three fields, so that it never equals a NodeKey.
    """

    category: str
    image: str | None = None
    depth: int = 0

    @property
    def parent(self) -> GroupKey:
        """The category of an image version; a category's own key."""
        return GroupKey(self.category)


def group_of(row: FleetRow) -> GroupKey:
    """The innermost group of a node: its category and the image it runs."""
    node = row.node
    return GroupKey(node.category, node.image.running, 1)


class _Sum:
    """One group's running sum, and histograms of what may be its worst, which survives a removal there."""

    __slots__ = ("extremes", "size", "tally")

    def __init__(self) -> None:
        self.size = 0
        self.tally = 0
        self.extremes = Histograms()

    @property
    def totals(self) -> Totals:
        return totals_of(self.tally, self.extremes.worst())


class FleetGroups:
    """Totals of the fleet, of each category and of each image version in it."""

    def __init__(self) -> None:
        self._fleet = _Sum()
        self._sums: dict[GroupKey, _Sum] = {}

    @classmethod
    def of(cls, rows: Iterable[FleetRow]) -> FleetGroups:
        """The totals of these rows, counted at once."""
        buckets: dict[GroupKey, list[FleetRow]] = {}
        for row in rows:
            buckets.setdefault(group_of(row), []).append(row)
        groups = cls()
        for key, bucket in buckets.items():
            groups.add_bucket(key, bucket)
        return groups

    def add_bucket(self, key: GroupKey, rows: list[FleetRow]) -> None:
        """Count many rows of one image version in at once."""
        tally = sum([row.tally for row in rows])
        extremes = [row.extremes for row in rows]
        for total in (self._fleet, self._sum(key.parent), self._sum(key)):
            total.size += len(rows)
            total.tally += tally
            total.extremes.add(extremes)

    def replace(self, old: FleetRow | None, new: FleetRow | None) -> None:
        """Count `old` out and `new` in. None stands for no row: a node that appears, or goes."""
        if old is not None and new is not None and group_of(old) == group_of(new):
            self._shift(old, new)
            return
        if old is not None:
            self._take(old)
        if new is not None:
            self._put(new)

    def totals(self, key: GroupKey) -> Totals:
        """One group's totals; all zero for a group that is not there."""
        total = self._sums.get(key)
        return total.totals if total is not None else Totals()

    @property
    def fleet(self) -> Totals:
        """The totals of all."""
        return self._fleet.totals

    def keys(self) -> Iterable[GroupKey]:
        """Every group that has a node, in no order."""
        return self._sums.keys()

    def __contains__(self, key: GroupKey) -> bool:
        return key in self._sums

    def _sum(self, key: GroupKey) -> _Sum:
        found = self._sums.get(key)
        if found is None:
            found = self._sums[key] = _Sum()
        return found

    def _shift(self, old: FleetRow, new: FleetRow) -> None:
        difference = new.tally - old.tally
        other = new.extremes != old.extremes
        if not difference and not other:
            return
        key = group_of(new)
        for total in (self._fleet, self._sums[key.parent], self._sums[key]):
            total.tally += difference
            if other:
                total.extremes.move(old.extremes, new.extremes)

    def _put(self, new: FleetRow) -> None:
        key = group_of(new)
        for total in (self._fleet, self._sum(key.parent), self._sum(key)):
            total.size += 1
            total.tally += new.tally
            total.extremes.put(new.extremes)

    def _take(self, old: FleetRow) -> None:
        key = group_of(old)
        for total in (self._fleet, self._sums[key.parent], self._sums[key]):
            total.size -= 1
            total.tally -= old.tally
            total.extremes.take(old.extremes)
        for level in (key, key.parent):
            if not self._sums[level].size:
                del self._sums[level]
