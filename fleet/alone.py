"""Keeps two operators from taking one node away at once: a step of one stops where an operation of the other began unseen."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.errors import Conflict
from fleet.holder import Hold, begun_since
from fleet.plan import Close, PutImage, Remove, Step
from fleet.verb import Verb

KEEPS_AWAY = (Verb.DRAIN.value, Verb.REIMAGE.value, Verb.RETIRE.value)
"""Verbs whose hold keeps others away, autoscalers too, for they take the node's work or the node itself."""


def expect_alone(step: Step, held: Iterable[Hold]) -> None:
    """Raise Conflict where a step would take a node away that another operation has begun to work on, unseen by our operator.

    `held` are the holds on the node now; those that the operator was shown are the step's own (`Before.holds`). A hold that names
    what failed is written whoever else is there.
    """
    match step.action:
        case Close(hold=hold) if hold.verb not in KEEPS_AWAY or hold.step:
            return
        case Close(hold=hold) | PutImage(hold=hold):
            operation = hold.operation
        case Remove(operation=operation):
            pass
        case _:
            return
    if operation and (other := begun_since(held, step.before.holds, operation)) is not None:
        why = f": {other.reason}" if other.reason else ""
        says = f"operation {other.operation} ({other.verb}) of {other.by} began on it since it was shown{why}"
        raise Conflict(f"{says}; plan it anew", about=step.node.name)
