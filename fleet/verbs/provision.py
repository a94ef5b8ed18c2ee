"""Provision: make a new node, gated, on a simulated or KWOK fleet, and open it only when it passes."""

from __future__ import annotations

from fleet.active_checks import diagnose_actions, not_to_be_run_yet
from fleet.category import Category
from fleet.holder import Hold, HolderKind
from fleet.node import NodeKey
from fleet.plan import (
    Action,
    AwaitBoot,
    Before,
    Blocker,
    Check,
    Create,
    NodePlan,
    Permission,
    Request,
    Step,
    Verb,
)
from fleet.verbs.common import NOT_THERE, block


def plan_provision(
    request: Request,
    key: NodeKey,
    category: Category,
    permission: Permission,
    *,
    exists: bool,
    no_checks: str = "",
) -> NodePlan:
    """Create, wait for the node's own word, gate. Refused where a node of that name is there already.

    `no_checks` says why no active check may be run here.
    """
    image = request.options.image or category.desired_image
    blockers: list[Blocker] = []
    if permission in (Permission.DENIED, Permission.NOBODY):
        blockers.append(block(key, "you are not permitted to make nodes here"))
    if exists:
        blockers.append(block(key, "a node of that name is there already", go_on="choose another name"))
    if not request.options.category:
        blockers.append(block(key, "no category was given", go_on="give one with --category", option=True))
    if image is None:
        blockers.append(
            block(key, "no image is desired of its category", go_on="give one with --image", option=True)
        )
        return NodePlan(key, blockers=tuple(blockers), found=NOT_THERE)
    hold = Hold(
        by=request.by,
        reason=request.reason,
        kind=HolderKind.OURS,
        verb=Verb.PROVISION.value,
        operation=request.operation,
    )
    actions: tuple[tuple[Action, str], ...] = (
        (
            Create(category.name, image, hold, category.gate_by_cordon),
            f"make {key.name} at {image}, behind the gate",
        ),
        (AwaitBoot(image, category.boot_deadline), f"wait until {key.name} itself reports {image}"),
        *diagnose_actions(request, key.name, category),
        (
            Check(
                request.operation,
                request.by,
                settle=category.settle_deadline,
                by_cordon=category.gate_by_cordon,
            ),
            f"gate {key.name}, and admit it on a PASS",
        ),
    )
    steps = tuple(
        Step(f"{key}/{ordinal}-{type(action).__name__.lower()}", key, action, says, Before())
        for ordinal, (action, says) in enumerate(actions, start=1)
    )
    warnings = tuple(not_to_be_run_yet(category, no_checks))
    return NodePlan(key, steps=steps, blockers=tuple(blockers), warnings=warnings, found=NOT_THERE)
