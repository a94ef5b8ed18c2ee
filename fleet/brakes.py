"""Brakes on verbs over many nodes: how many at once, and when to stop starting new ones."""

from __future__ import annotations

from fleet.category import Category
from fleet.plan import Verb
from fleet.policy import TYPED_CONFIRMATION_ABOVE, Policy

AT_ONCE = 50
"""How many nodes a verb works on at a time where nothing tighter holds: it bounds requests under way."""


def max_unavailable(category: Category, nodes: int) -> int:
    """How many of a category's `nodes` may be out of service at once: a count, or a share rounded up; at least 1.

    The share is rounded up as Kubernetes rounds maxUnavailable of a PodDisruptionBudget.
    """
    text = category.max_unavailable.strip()
    if text.endswith("%"):
        share = float(text[:-1]) / 100
        return max(1, -int(-nodes * share // 1))
    return max(1, int(text))


def at_once(verb: Verb, targets: int, policy: Policy, allowed: int | None, unavailable: int) -> int:
    """How many nodes to have under way together.

    A verb that gives nodes back (reimage) keeps within `allowed` less the `unavailable` others; one that leaves them
    closed is bounded by requests alone, for its operator confirmed the number.
    """
    if targets <= TYPED_CONFIRMATION_ABOVE:
        return max(1, min(targets, policy.max_parallel))
    if verb is Verb.REIMAGE and allowed is not None:
        return max(1, min(targets, allowed - unavailable))
    return min(targets, AT_ONCE)
