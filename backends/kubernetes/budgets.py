"""Disruption budgets: which pods each covers, how many may go now, and whose it is.

Selectors are those of policy/v1 (Kubernetes 1.36): none selects nothing, an empty one every pod of its namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from backends.kubernetes.shapes import KubeObject, Meta, Reading
from fleet.text import clean
from fleet.workload import Budget

_OWNERS = ("owner", "team", "app.kubernetes.io/part-of", "app.kubernetes.io/name")


class Requirement(msgspec.Struct, gc=False):
    """One expression of a selector."""

    key: str = ""
    operator: str = ""
    values: list[str] | None = None

    def admits(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it. An operator that we do not know admits, so that a budget is never overlooked."""
        there = self.key in labels
        match self.operator:
            case "In":
                return there and labels[self.key] in (self.values or ())
            case "NotIn":
                return not there or labels[self.key] not in (self.values or ())
            case "Exists":
                return there
            case "DoesNotExist":
                return not there
            case _:
                return True


class Selector(msgspec.Struct, gc=False, rename="camel"):
    """A label selector."""

    match_labels: dict[str, str] | None = None
    match_expressions: list[Requirement] | None = None

    def admits(self, labels: Mapping[str, str]) -> bool:
        """Whether labels are selected; an empty selector selects everything."""
        if any(labels.get(key) != value for key, value in (self.match_labels or {}).items()):
            return False
        return all(each.admits(labels) for each in self.match_expressions or ())


class BudgetSpec(msgspec.Struct, gc=False):
    """Whom a budget covers."""

    selector: Selector | None = None


class BudgetStatus(msgspec.Struct, gc=False, rename="camel"):
    """How a budget stands."""

    disruptions_allowed: int = 0
    current_healthy: int = 0
    desired_healthy: int = 0


class BudgetShape(KubeObject, gc=False):
    """A PodDisruptionBudget."""

    spec: BudgetSpec | None = None
    status: BudgetStatus | None = None

    def covers(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether a pod of that namespace with those labels is under this budget."""
        selector = self.spec.selector if self.spec is not None else None
        if selector is None or self.metadata.namespace != namespace:
            return False
        return selector.admits(labels)

    def budget(self) -> Budget:
        """The budget as the fleet knows it."""
        status = self.status or BudgetStatus()
        return Budget(
            namespace=clean(self.metadata.namespace or "", 120),
            name=clean(self.metadata.name, 253),
            allowed=max(0, status.disruptions_allowed),
            healthy=status.current_healthy,
            needed=status.desired_healthy,
            owner=_owner(self.metadata),
        )


BUDGETS = Reading(BudgetShape)


BudgetsByNamespace = Mapping[str, Sequence[BudgetShape]]


def by_namespace(budgets: Iterable[BudgetShape]) -> BudgetsByNamespace:
    """Budgets where they are looked for, since a cluster may have thousands."""
    found: dict[str, list[BudgetShape]] = {}
    for budget in budgets:
        found.setdefault(budget.metadata.namespace or "", []).append(budget)
    return found


def budgets_over(
    budgets: BudgetsByNamespace, namespace: str, labels: Mapping[str, str]
) -> tuple[Budget, ...]:
    """Every budget over a pod."""
    there = budgets.get(namespace, ())
    return tuple(each.budget() for each in there if each.covers(namespace, labels))


def _owner(meta: Meta) -> str:
    """Whose it is: an owner or team that somebody noted, else the application; empty where neither is."""
    for key in _OWNERS:
        for notes in (meta.annotations or {}, meta.labels or {}):
            if notes.get(key):
                return clean(notes[key], 120)
    return ""
