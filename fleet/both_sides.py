"""A verb on a machine of two sources: both sides' shares as one, in the order that keeps work off it.

Slurm closes first and opens last: jobs that Slurm starts need a node that Kubernetes has not closed yet, and one that it has opened
again. Both sides are closed before any work is moved, so that a failure half-way leaves both closed. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from fleet.diagnosis import Diagnose
from fleet.holder import HolderKind
from fleet.machine import Tie, disagree, kind_of, own_holds, truths, without_carried
from fleet.node import Node, NodeKey
from fleet.plan import (
    Action,
    Blocker,
    Check,
    Close,
    Ground,
    Mark,
    MoveWork,
    NodeFacts,
    NodePlan,
    PutImage,
    Request,
    Step,
    Verb,
    plan_hash,
)
from fleet.verbs.common import block
from fleet.workload import Placement

BRINGS_TOGETHER = (Verb.CORDON, Verb.UNCORDON)
"""Verbs that end a disagreement: one closes both sides, the other opens both or is refused."""

_OPENS = (Verb.UNCORDON, Verb.GATE)
PlanSide = Callable[[NodeKey, Ground], NodePlan]
"""One side's share, planned as if it were a machine of its own over a ground that has its facts."""


def plan_machine(request: Request, key: NodeKey, tie: Tie, ground: Ground, plan_side: PlanSide) -> NodePlan:
    """The machine's share of a plan, under the key of the side that stands for it."""
    twin = tie.twin_of(key)
    mine, other = ground.facts.get(key), ground.twins.get(twin) if twin is not None else None
    if mine is None or (request.options.check_only and other is None):
        return plan_side(key, ground)
    if tie.says or twin is None:
        return _untold(plan_side(key, ground), tie.says, tie.go_on)
    if other is None:
        says = f"its other side {twin} is not there any more"
        return _untold(plan_side(key, ground), says, "wait until the fleet shows what became of it")
    slurm = tie.sides[0].source
    facts = {key: mine, twin: other}
    sides = _own_grounds(request, facts) if request.verb is Verb.UNCORDON else facts
    ground = _checked_by_slurm(tie, ground)
    shares = {side: plan_side(side, replace(ground, facts=sides)) for side in tie.sides}
    said = {side: kind_of(side, slurm) for side in tie.sides}
    if request.verb is Verb.UNCORDON:
        shares = {side: _left_alone(share, facts, twin_of(tie, side), said) for side, share in shares.items()}
    steps = _in_order(request, tie, shares)
    return NodePlan(
        key,
        steps=tuple(replace(step, says=f"{said[step.node]}: {step.says}") for step in steps),
        blockers=(*_disagreement(request, key, mine.node, other.node, slurm), *_blockers(key, shares, said)),
        already=tuple(f"{said[side]}: {so}" for side, share in shares.items() for so in share.already),
        warnings=(
            *_told(request, mine.node, other.node, slurm),
            *(f"{said[side]}: {each}" for side, share in shares.items() for each in share.warnings),
        ),
        moves=tuple(_counted(item) for share in shares.values() for item in share.moves),
        found="; ".join(f"{said[side]}: {share.found}" for side, share in shares.items()),
        promise=plan_hash({str(side): share.promise for side, share in shares.items()}),
        sides=tie.sides,
    )


def twin_of(tie: Tie, side: NodeKey) -> NodeKey:
    """The other one of two sides."""
    return tie.sides[1] if side == tie.sides[0] else tie.sides[0]


def _untold(share: NodePlan, says: str, go_on: str) -> NodePlan:
    """Nothing is done to one side of a machine whose other side can't be told."""
    blocker = block(share.node, says or "its other side can't be told", go_on=go_on)
    return replace(share, steps=(), moves=(), blockers=(blocker, *share.blockers))


def _own_grounds(request: Request, facts: Mapping[NodeKey, NodeFacts]) -> dict[NodeKey, NodeFacts]:
    """Both sides less the holds that a controller only carried over from one to the other."""
    (one, first), (other, second) = facts.items()
    return {
        one: replace(first, node=without_carried(first.node, second.node)),
        other: replace(second, node=without_carried(second.node, first.node)),
    }


def _left_alone(
    share: NodePlan, facts: Mapping[NodeKey, NodeFacts], twin: NodeKey, said: Mapping[NodeKey, str]
) -> NodePlan:
    """A side that only a controller closed, for the other side's sake, is opened by that controller and not by us."""
    node, other = facts[share.node].node, facts[twin].node
    if not node.holds or own_holds(node, other):
        return share
    by = ", ".join(sorted({hold.by for hold in node.holds}))
    says = f"{by} closed it for {said[twin]}, and opens it again by itself"
    return replace(share, steps=(), warnings=(*share.warnings, says))


def _in_order(request: Request, tie: Tie, shares: Mapping[NodeKey, NodePlan]) -> tuple[Step, ...]:
    slurm_first = list(tie.sides)
    if request.verb is Verb.REIMAGE:
        return ()
    if request.verb is Verb.GATE:
        return _gate(request, tie, shares)
    order = slurm_first[::-1] if request.verb in _OPENS else slurm_first
    steps = [step for side in order for step in shares[side].steps]
    return tuple(sorted(steps, key=lambda step: _phase(step.action, slurm_first.index(step.node))))


def _gate(request: Request, tie: Tie, shares: Mapping[NodeKey, NodePlan]) -> tuple[Step, ...]:
    """What is vouched for on either side and what is run on Slurm's, then one check of both."""
    shown = shares[tie.shown]
    others = [
        step
        for share in shares.values()
        for step in share.steps
        if not isinstance(step.action, Check | Diagnose)
    ]
    others += _run_once(tie, shares)
    checks = [
        replace(
            step,
            action=replace(step.action, sides=tie.sides[::-1]),
            says=f"{step.says}, as one with {twin_of(tie, tie.shown)}",
        )
        for step in shown.steps
        if isinstance(step.action, Check)
    ]
    return (*others, *checks)


def _run_once(tie: Tie, shares: Mapping[NodeKey, NodePlan]) -> list[Step]:
    """The active checks that either side's category asks for, each once and on Slurm's side (`fleet.machine_diagnosing`)."""
    slurm, found = tie.sides[0], dict[str, Step]()
    for side in tie.sides:
        for step in shares[side].steps:
            if isinstance(step.action, Diagnose):
                found.setdefault(step.action.check, replace(step, node=slurm))
    return list(found.values())


def _checked_by_slurm(tie: Tie, ground: Ground) -> Ground:
    """The ground where a check of either side is kept from being run by what keeps Slurm's from it, and by nothing else."""
    slurm, kubernetes = (side.source for side in tie.sides)
    return replace(ground, no_checks={**ground.no_checks, kubernetes: ground.no_checks.get(slurm, "")})


def _phase(action: Action, side: int) -> int:
    """Both are closed; then each is emptied and marked, Slurm first, for Kubernetes may evict slurmd; then both are removed."""
    if isinstance(action, Close):
        return 0
    return 1 + side if isinstance(action, MoveWork | Mark) else 3


def _blockers(
    key: NodeKey, shares: Mapping[NodeKey, NodePlan], said: Mapping[NodeKey, str]
) -> tuple[Blocker, ...]:
    """Each side's blockers, said of the machine; a reimage's are one, for no imager serves both sides."""
    told = tuple(
        replace(blocker, node=key, says=f"{said[side]}: {blocker.says}")
        for side, share in shares.items()
        for blocker in share.blockers
    )
    imagers = {
        side: step.action.imager
        for side, share in shares.items()
        for step in share.steps
        if isinstance(step.action, PutImage)
    }
    if not imagers:
        return told
    named = " and ".join(f"{imager} serves {said[side]} alone" for side, imager in imagers.items())
    return (block(key, f"no imager serves both sides of it: {named}", go_on=_BY_HAND), *told)


_BY_HAND = "drain it, put the image on with the site's own tool, and gate it"


def _disagreement(request: Request, key: NodeKey, mine: Node, other: Node, slurm: str) -> tuple[Blocker, ...]:
    if not disagree(mine, other) or request.verb in BRINGS_TOGETHER or request.options.check_only:
        return ()
    ours = {
        hold.operation
        for node in (mine, other)
        for hold in node.holds
        if hold.kind is HolderKind.OURS and hold.operation
    }
    resume = f"resume {', '.join(sorted(ours))} where it was cut off; else " if ours else ""
    go_on = f"{resume}cordon it to close both sides, or uncordon it to open both"
    return (block(key, f"its two sides disagree: {truths(mine, other, slurm)}", go_on=go_on),)


def _told(request: Request, mine: Node, other: Node, slurm: str) -> tuple[str, ...]:
    """Both truths, where the verb is one that ends their difference."""
    if not disagree(mine, other) or request.verb not in BRINGS_TOGETHER:
        return ()
    does = "closes" if request.verb is Verb.CORDON else "opens"
    return (f"its two sides disagree: {truths(mine, other, slurm)}; this {does} both",)


def _counted(item: Placement) -> Placement:
    """A pod of slurmd holds its GPUs for the jobs in it, which are counted."""
    return replace(item, gpus=0) if item.host else item
