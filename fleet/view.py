"""The fleet table's lines in their order: categories, their image versions, their nodes; filtered, folded, sorted.

A change that moves nothing costs a look at its neighbours. What does move waits until the caller asks for a re-sort, so
that a busy fleet does not dance under the cursor. The view holds keys, never rows: what a line shows is read from the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from operator import attrgetter

from fleet.groups import FleetGroups, GroupKey, group_of
from fleet.naming import natural
from fleet.node import NodeKey
from fleet.row import FleetRow
from fleet.selection import EVERYTHING, Selection
from fleet.severity import Severity
from fleet.sorting import BY_NAME, Column, Sort, in_order, rank_by, sorted_keys
from fleet.store import Changes, FleetStore
from fleet.tally import Totals

LineKey = NodeKey | GroupKey


class LineKind(Enum):
    CATEGORY = "category"
    IMAGE = "image"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. `group` is a node's image version, and a group's own key; `depth` 0, 1 or 2."""

    kind: LineKind
    key: LineKey
    group: GroupKey
    depth: int
    folded: bool = False


@dataclass(frozen=True, slots=True)
class ViewChanges:
    """What to paint. `moved`: lines came, went or changed places. `dirty`: lines whose content may differ.

    `behind`: the order no longer fits; the next refresh with `resort` mends it.
    """

    moved: bool = False
    dirty: frozenset[LineKey] = frozenset()
    behind: bool = False


class FleetView:
    """A list of lines over a store. `refresh` it with the store's changes; lines stay as they were in between."""

    def __init__(
        self, store: FleetStore, now: datetime, *, sort: Sort = BY_NAME, selection: Selection = EVERYTHING
    ) -> None:
        self._store = store
        self._now = now
        self._sort = sort
        self._rank = rank_by(sort.column, now, store.policy)
        self._selection = selection
        self._folded: set[GroupKey] = set()
        self._named: dict[GroupKey, list[NodeKey]] = {}
        self._named_at = -1
        self._members: dict[NodeKey, FleetRow] | None = None
        self._groups = store.groups
        self._buckets: dict[GroupKey, list[NodeKey]] = {}
        self._worst: dict[GroupKey, Severity] = {}
        self._lines: list[LineKey] = []
        self._places: dict[LineKey, int] = {}
        self._behind = False
        self._hidden_moved = False
        self._rebuild()

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, place: int) -> Line:
        return self._line(self._lines[place])

    def window(self, start: int, stop: int) -> list[Line]:
        """The lines of a stretch of the table."""
        return [self._line(key) for key in self._lines[max(0, start) : max(0, stop)]]

    def index_of(self, key: LineKey) -> int | None:
        """Where a line stands, None for one that is folded away, filtered out or not there."""
        return self._places.get(key)

    def totals(self, group: GroupKey) -> Totals:
        """A group's totals over the nodes that the filter lets through."""
        return self._groups.totals(group)

    @property
    def matching(self) -> Totals:
        """The totals of all nodes that the filter lets through."""
        return self._groups.fleet

    def nodes_of(self, group: GroupKey) -> list[NodeKey]:
        """The nodes of a category or an image version that the filter lets through, in their order, folded or not."""
        return [
            key for bucket, keys in self._buckets.items() if group in (bucket, bucket.parent) for key in keys
        ]

    def nodes(self) -> list[NodeKey]:
        """All nodes that the filter lets through, in their order, folded or not."""
        return [key for keys in self._buckets.values() for key in keys]

    @property
    def sort(self) -> Sort:
        return self._sort

    @property
    def selection(self) -> Selection:
        return self._selection

    @property
    def folded(self) -> frozenset[GroupKey]:
        return frozenset(self._folded)

    @property
    def behind(self) -> bool:
        """Whether the order no longer fits what the store holds."""
        return self._behind

    def arrange(self, now: datetime, *, sort: Sort | None = None, selection: Selection | None = None) -> None:
        """Sort or filter anew, at once."""
        self._sort = sort or self._sort
        self._selection = self._selection if selection is None else selection
        self._now = now
        self._rebuild()

    def fold(self, groups: Iterable[GroupKey]) -> None:
        """Hide what is in these groups."""
        self._folded.update(groups)
        self._lay_out()

    def unfold(self, groups: Iterable[GroupKey]) -> None:
        """Show what is in these groups."""
        self._folded.difference_update(groups)
        if self._hidden_moved:
            self._rebuild()
        else:
            self._lay_out()

    def fold_all(self, depth: int) -> None:
        """Fold every group of this depth (0 categories, 1 image versions), and unfold all others."""
        self._folded = {group for group in self._groups.keys() if group.depth == depth}  # noqa: SIM118 - no mapping
        self._lay_out()

    def reveal(self, key: NodeKey) -> int | None:
        """Unfold what hides a node; its place, None for one that the filter leaves out or that is not there."""
        row = self._store.record(key)
        if row is not None and key not in self._places:
            group = group_of(row)
            self.unfold((group, group.parent))
        return self.index_of(key)

    def refresh(self, changes: Changes, now: datetime, *, resort: bool) -> ViewChanges:
        """Take in the store's changes. Lines move only with `resort`, or where everything changed."""
        self._now = now
        if changes.everything:
            return self._resorted(frozenset(), changed=True)
        dirty = self._take_in(changes)
        if resort and self._behind:
            return self._resorted(dirty, changed=False)
        return ViewChanges(dirty=dirty, behind=self._behind)

    def _resorted(self, dirty: frozenset[LineKey], *, changed: bool) -> ViewChanges:
        before = self._lines
        self._rebuild()
        return ViewChanges(moved=changed or self._lines != before, dirty=dirty)

    def _take_in(self, changes: Changes) -> frozenset[LineKey]:
        dirty: set[LineKey] = set()
        groups: set[GroupKey] = set()
        for keys in (changes.keys, changes.removed):
            for key in keys:
                row = self._store.record(key)
                if row is not None and not row.shown:
                    row = None
                if self._members is not None:
                    self._count(key, row, self._members)
                if row is not None:
                    groups.add(group_of(row))
                place = self._places.get(key)
                if place is not None:
                    dirty.add(key)
                    self._behind = self._behind or self._misplaced(place, row)
                else:
                    self._hidden_moved = True
        if changes.structure_changed:
            self._behind = self._behind or self._members is None
            groups.update(self._buckets)
        for group in groups | {group.parent for group in groups}:
            if group in self._places:
                dirty.add(group)
            if self._sort.column is Column.PROBLEM and self._groups.totals(
                group
            ).worst is not self._worst.get(group):
                self._behind = True
        return frozenset(dirty)

    def _count(self, key: NodeKey, row: FleetRow | None, members: dict[NodeKey, FleetRow]) -> None:
        """Count one node in or out of what the filter lets through."""
        old = members.get(key)
        new = row if row is not None and self._selection.matches(row) else None
        if old is None and new is None:
            return
        self._groups.replace(old, new)
        if new is None:
            del members[key]
        else:
            members[key] = new
        if old is None or new is None or group_of(old) != group_of(new):
            self._behind = True

    def _misplaced(self, place: int, row: FleetRow | None) -> bool:
        if row is None:
            return True
        if self._sort.column is Column.NAME:
            return False
        for first, second in ((place - 1, place), (place, place + 1)):
            pair = [self._row_at(first), self._row_at(second)]
            if pair[0] and pair[1] and not in_order(pair[0], pair[1], self._sort, self._rank):
                return True
        return False

    def _row_at(self, place: int) -> FleetRow | None:
        key = self._lines[place] if 0 <= place < len(self._lines) else None
        return self._store.record(key) if isinstance(key, NodeKey) else None

    def _rebuild(self) -> None:
        """Filter and sort the whole fleet."""
        self._rank = rank_by(self._sort.column, self._now, self._store.policy)
        self._groups = self._store.groups
        self._members = None
        self._buckets = self._by_group()
        if self._selection:
            self._buckets = self._filtered(self._buckets)
        if self._sort.column is not Column.NAME or self._sort.descending:
            record = self._store.rows_by_key
            self._buckets = {
                group: sorted_keys(keys, [record[key] for key in keys], self._sort, self._rank)
                for group, keys in self._buckets.items()
            }
        self._worst = {}
        if self._sort.column is Column.PROBLEM:
            self._put_worst_groups_in_order()
        self._behind = self._hidden_moved = False
        self._lay_out()

    def _by_group(self) -> dict[GroupKey, list[NodeKey]]:
        """The fleet by image version, groups and nodes in the order of names: worked out anew only when it changed."""
        if self._named_at != self._store.structure_revision:
            buckets: dict[GroupKey, list[NodeKey]] = {}
            for row in sorted(self._store.rows(), key=attrgetter("order")):
                if row.shown:
                    buckets.setdefault(group_of(row), []).append(row.node.key)
            self._named = {group: buckets[group] for group in sorted(buckets, key=_group_name)}
            self._named_at = self._store.structure_revision
        return self._named

    def _filtered(self, buckets: dict[GroupKey, list[NodeKey]]) -> dict[GroupKey, list[NodeKey]]:
        """What the filter lets through of these, counted on the way."""
        matches, record = self._selection.predicate, self._store.rows_by_key
        self._groups, self._members = FleetGroups(), {}
        found: dict[GroupKey, list[NodeKey]] = {}
        for group, keys in buckets.items():
            rows = [row for row in [record[key] for key in keys] if matches(row)]
            if rows:
                found[group] = [row.node.key for row in rows]
                self._members.update(zip(found[group], rows, strict=True))
                self._groups.add_bucket(group, rows)
        return found

    def _put_worst_groups_in_order(self) -> None:
        """By the worst of the category, then of the image version; equals stay in the order of names."""
        every = {*self._buckets, *(group.parent for group in self._buckets)}
        self._worst = worst = {group: self._groups.totals(group).worst for group in every}
        way = -1 if self._sort.descending else 1
        by_name = sorted(self._buckets, key=lambda group: way * worst[group])
        categories = {
            group: place for place, group in enumerate(dict.fromkeys(g.parent for g in self._buckets))
        }
        by_name.sort(key=lambda group: (way * worst[group.parent], categories[group.parent]))
        self._buckets = {group: self._buckets[group] for group in by_name}

    def _lay_out(self) -> None:
        """Write the lines down from the groups that are open."""
        lines: list[LineKey] = []
        category: GroupKey | None = None
        for group, keys in self._buckets.items():
            if group.parent != category:
                category = group.parent
                lines.append(category)
            if category in self._folded:
                continue
            lines.append(group)
            if group not in self._folded:
                lines += keys
        self._lines = lines
        self._places = dict(zip(lines, range(len(lines)), strict=True))

    def _line(self, key: LineKey) -> Line:
        if isinstance(key, GroupKey):
            kind = LineKind.IMAGE if key.depth else LineKind.CATEGORY
            return Line(kind, key, key, key.depth, key in self._folded)
        row = self._store.record(key)
        group = group_of(row) if row is not None else GroupKey("")
        return Line(LineKind.NODE, key, group, 2)


def _group_name(group: GroupKey) -> tuple[object, ...]:
    """Categories by name, the nameless last; in each its images by name, the unknown last."""
    image = group.image or ""
    return (
        not group.category,
        natural(group.category),
        group.category,
        group.image is None,
        natural(image),
        image,
    )
