"""Brakes on verbs over many nodes: how many at once, what bounds that, and what the plan says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from fleet.category import Category
from fleet.node import Admission, Node, Readiness
from fleet.plan import Ground, Verb
from fleet.policy import TYPED_CONFIRMATION_ABOVE, Policy

AT_ONCE = 50
"""How many nodes a verb works on at a time where nothing tighter holds: it bounds requests under way."""

TAKES_CAPACITY = (Verb.CORDON, Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE)
"""Verbs after or during which a node is out of service."""

_LEAVES_CLOSED = (Verb.CORDON, Verb.DRAIN, Verb.RETIRE)


@dataclass(frozen=True, slots=True)
class Bound:
    """A category that a verb takes nodes from: how many of it may be out, are out beside the targets, and would come to be."""

    category: str
    limit: int
    out: int
    taken: int

    @property
    def room(self) -> int:
        return self.limit - self.out


def max_unavailable(category: Category, nodes: int) -> int:
    """How many of a category's `nodes` may be out of service at once: a count, or a share rounded up; at least 1.

    The share is rounded up as Kubernetes rounds maxUnavailable of a PodDisruptionBudget.
    """
    text = category.max_unavailable.strip()
    if text.endswith("%"):
        share = float(text[:-1]) / 100
        return max(1, -int(-nodes * share // 1))
    return max(1, int(text))


def bounds(verb: Verb, targets: int, ground: Ground, policy: Policy) -> tuple[Bound, ...]:
    """What max-unavailable says of each category touched, the tightest first; nothing where it does not bound this verb.

    A target that is out of service already takes nothing away by being worked on. A category of which nothing is known beside
    its targets is taken to have no other node.
    """
    if verb not in TAKES_CAPACITY or targets <= TYPED_CONFIRMATION_ABOVE:
        return ()
    nodes = [facts.node for facts in ground.facts.values()]
    wanted, closed = Counter(node.category for node in nodes), Counter[str]()
    closed.update(node.category for node in nodes if not usable(node))
    found = []
    for name, count in wanted.items():
        _, _, there, out = ground.capacity.get(name, (0, 0, count, closed[name]))
        limit = max_unavailable(policy.category(name), max(there, count))
        found.append(Bound(name, limit, max(0, out - closed[name]), count - closed[name]))
    return tuple(sorted(found, key=lambda bound: (bound.room, bound.category)))


def at_once(verb: Verb, targets: int, policy: Policy, bound: Bound | None) -> int:
    """How many nodes to have under way together: within what `bound` leaves, and one where it leaves none."""
    if targets <= TYPED_CONFIRMATION_ABOVE:
        return max(1, min(targets, policy.max_parallel))
    most = min(targets, AT_ONCE)
    if bound is None:
        return most
    return max(1, min(targets if verb is Verb.REIMAGE else most, bound.room))


def brake_warnings(verb: Verb, found: tuple[Bound, ...]) -> Iterator[str]:
    """What waves do not keep: a category that has no room left, and one of which more than its limit stays out."""
    for bound in found:
        named = f"max-unavailable {bound.limit} of category {bound.category or 'none'}"
        if bound.room <= 0:
            yield f"{named} is used up, {bound.out} are out already: one node at a time"
        if verb in _LEAVES_CLOSED and bound.out + bound.taken > bound.limit:
            left = f"{bound.out + bound.taken} nodes of category {bound.category or 'none'}"
            yield f"when done {left} are out, above its max-unavailable {bound.limit}: waves bound how many leave at once"


def usable(node: Node) -> bool:
    """Whether a node is in service: open, and heard of, or asleep until work wakes it."""
    return node.admission is Admission.OPEN and (node.readiness is Readiness.READY or bool(node.asleep))
