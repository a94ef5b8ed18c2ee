"""From a request and the ground to a plan. Pure: the same question gets the same plan, and nothing is done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from fleet.both_sides import plan_machine
from fleet.brakes import TAKES_CAPACITY, at_once, bounds, brake_warnings, usable
from fleet.lock import LOCKED
from fleet.node import NodeKey
from fleet.plan import (
    Blocker,
    Check,
    Close,
    Ground,
    NodeFacts,
    NodePlan,
    Permission,
    Plan,
    Radius,
    Release,
    Request,
    Verb,
    plan_hash,
)
from fleet.policy import Policy
from fleet.verbs.common import NOT_THERE, Question, block
from fleet.verbs.cordon import plan_cordon, plan_uncordon
from fleet.verbs.drain import plan_drain
from fleet.verbs.gate import plan_gate
from fleet.verbs.provision import plan_provision
from fleet.verbs.reimage import image_of, imager_of, plan_reimage
from fleet.verbs.retire import plan_retire
from fleet.workload import STANDS_ALONE, Keeper, Rest, WorkloadAt

_VERBS: dict[Verb, Callable[[Question], NodePlan]] = {
    Verb.GATE: plan_gate,
    Verb.CORDON: plan_cordon,
    Verb.UNCORDON: plan_uncordon,
    Verb.DRAIN: plan_drain,
    Verb.REIMAGE: plan_reimage,
    Verb.RETIRE: plan_retire,
}


def plan(request: Request, ground: Ground, policy: Policy, now: datetime) -> Plan:
    """What `request` would do over `ground`: steps, blockers and cost, with the hash that a confirmation names."""
    nodes = tuple(plan_node(request, key, ground, policy, now) for key in dict.fromkeys(request.nodes))
    working = sum(bool(node.steps) for node in nodes)
    braked = bounds(request.verb, len(nodes), ground, policy)
    tightest = next(iter(braked), None)
    parallel = at_once(request.verb, len(nodes), policy, tightest)
    return Plan(
        request=request,
        nodes=nodes,
        radius=_radius(request, nodes, ground),
        hash=plan_hash(_promise(request, ground, nodes)),
        at=now,
        waves=-(-working // parallel),
        at_once=parallel,
        max_unavailable=tightest.limit if tightest else None,
        braked_by=tightest.category if tightest else "",
        already_out=tightest.out if tightest else 0,
        warnings=(*_doubted(request, ground), *brake_warnings(request.verb, braked)),
        blockers=_whole_blockers(ground, nodes),
        sources=tuple(ground.identity[name] for name in sorted(ground.identity)),
    )


def plan_node(request: Request, key: NodeKey, ground: Ground, policy: Policy, now: datetime) -> NodePlan:
    """One node's share, and where it is a machine of two sources both sides' together."""
    tie = ground.ties.get(key)
    if tie is None:
        return _plan_side(request, key, ground, policy, now)

    def side(each: NodeKey, over: Ground) -> NodePlan:
        return _plan_side(request, each, over, policy, now)

    return plan_machine(request, key, tie, ground, side)


def _plan_side(request: Request, key: NodeKey, ground: Ground, policy: Policy, now: datetime) -> NodePlan:
    """One node's share, planned by its verb. A node that is not there is a blocker, never an error."""
    permission = ground.permissions.get((key.source, request.verb), Permission.UNKNOWN)
    facts = ground.facts.get(key)
    no_checks = ground.no_checks.get(key.source, "")
    if request.verb is Verb.PROVISION:
        category = policy.category(request.options.category or "")
        made = plan_provision(
            request, key, category, permission, exists=facts is not None, no_checks=no_checks
        )
        image = request.options.image or category.desired_image
        return replace(made, promise=plan_hash({"there": facts is not None, "image": image}))
    if facts is None:
        says = f"there is no node {key.name} in {key.source}"
        return NodePlan(key, blockers=(block(key, says, go_on="check the name"),), found=NOT_THERE)
    category = policy.category(facts.node.category)
    question = Question(request, facts, category, policy, now, permission, no_checks)
    made = replace(_VERBS[request.verb](question), promise=plan_hash(_promise_of(question)))
    if made.moves and facts.untold:
        made = replace(made, warnings=(*made.warnings, facts.untold))
    return _with_its_lock(_as_the_orchestrator_lets(made, facts), question)


def _as_the_orchestrator_lets(made: NodePlan, facts: NodeFacts) -> NodePlan:
    """The share, blocked where its first change of admission is one that the orchestrator would refuse, or undo."""
    for step in made.steps:
        match step.action:
            case Close():
                found = [facts.no_close]
            case Release():
                found = [facts.no_open]
            case Check(flag_only=False, write=True):
                found = [facts.no_open, facts.no_close]
            case _:
                continue
        blockers = dict.fromkeys(blocker for blocker in found if blocker is not None)
        return replace(made, blockers=(*made.blockers, *blockers))
    return made


def _with_its_lock(made: NodePlan, question: Question) -> NodePlan:
    """The share with whose turn it is on the node: another operation's lock blocks it, and having none to take is said."""
    request, facts = question.request, question.facts
    if request.verb not in LOCKED or request.options.check_only or not made.steps:
        return made
    lock = facts.lock
    if lock is not None and lock.operation != request.operation:
        go_on = "wait until it ended; resume it if it is yours"
        return replace(made, blockers=(*made.blockers, block(facts.node.key, str(lock), go_on=go_on)))
    return replace(made, warnings=(*made.warnings, facts.no_lock)) if facts.no_lock else made


def _whole_blockers(ground: Ground, nodes: tuple[NodePlan, ...]) -> tuple[Blocker, ...]:
    blockers = [
        block(None, f"the feed {feed} is stale", go_on="wait until it is live, or plan one node at a time")
        for feed in ground.stale_feeds
        if len(nodes) > 1
    ]
    if not nodes:
        blockers.append(block(None, "no node is named"))
    return tuple(blockers)


def _doubted(request: Request, ground: Ground) -> tuple[str, ...]:
    """Sources that would not tell whether we may: that is no yes, and is found out only by the change itself."""
    if request.options.check_only:
        return ()
    sources = dict.fromkeys(key.source for key in request.nodes)
    return tuple(
        f"{source} does not tell whether you may {request.verb.value}: it may refuse at the first change"
        for source in sources
        if ground.permissions.get((source, request.verb), Permission.UNKNOWN) is Permission.UNKNOWN
    )


def _radius(request: Request, nodes: tuple[NodePlan, ...], ground: Ground) -> Radius:
    moves = [item for node in nodes for item in node.moves if not item.finished]
    held = {budget.label for item in moves for budget in item.budgets if budget.allowed <= 0}
    return Radius(
        nodes=sum(bool(node.steps) for node in nodes),
        workloads=tuple(sorted({item.workload for item in moves})),
        jobs_lost=tuple(sorted(item.label for item in moves if item.keeper is Keeper.NOBODY)),
        pods=len(moves),
        jobs=sum(item.waits for item in moves),
        gpus=sum(item.gpus for item in moves),
        waits_for=tuple(sorted(held)),
        capacity_left=_capacity_left(request, ground),
        categories=tuple(sorted({facts.node.category for facts in ground.facts.values()})),
        gangs=_gangs(nodes, ground),
    )


def _gangs(nodes: tuple[NodePlan, ...], ground: Ground) -> tuple[str, ...]:
    """Workloads that lose a part here and run on other nodes too, where they may stall for it."""
    here: defaultdict[WorkloadAt, dict[NodeKey, int]] = defaultdict(dict)
    for node in nodes:
        for item in node.moves:
            if not item.finished:
                parts = here[node.node.source, item.workload]
                parts[node.node] = parts.get(node.node, 0) + item.gpus
    found = []
    for at in sorted(here):
        rest = ground.elsewhere.get(at)
        if rest is not None and at[1].kind not in STANDS_ALONE:
            found.append(f"{at[1].namespace}/{at[1].name} {_stalls(here[at], rest)}")
    return tuple(found)


def _stalls(here: Mapping[NodeKey, int], rest: Rest) -> str:
    """What a gang that loses its parts `here` idles on the other nodes."""
    if not rest.gpus:
        others = "1 other node" if rest.nodes == 1 else f"{rest.nodes} other nodes"
        return f"also runs on {others}, which may stall"
    total, nodes = sum(here.values()) + rest.gpus, len(here) + rest.nodes
    return f"is a gang of {total} GPUs on {nodes} nodes: {rest.gpus} elsewhere may stall"


def _capacity_left(request: Request, ground: Ground) -> tuple[int, int] | None:
    """(GPUs usable after, GPUs usable now) of the categories touched; None where any of it is unknown."""
    if request.verb not in TAKES_CAPACITY:
        return None
    lost: defaultdict[str, int] = defaultdict(int)
    for facts in ground.facts.values():
        node = facts.node
        if usable(node) and node.gpus_allocatable is None:
            return None
        lost[node.category] += (node.gpus_allocatable or 0) if usable(node) else 0
    found = [ground.capacity.get(name) for name in lost]
    known = [item for item in found if item is not None]
    if not known or len(known) != len(found):
        return None
    now = sum(item[0] for item in known)
    return max(0, now - sum(lost.values())), now


def _promise_of(question: Question) -> dict[str, object]:
    """A node's part of what a confirmation covers: uid, admission, holders, image and imager as found, and what is put on."""
    node, reimages = question.node, question.request.verb is Verb.REIMAGE
    return {
        "uid": node.uid,
        "admission": node.admission.value,
        "unschedulable": question.facts.unschedulable,
        "holders": sorted((hold.kind.value, hold.by, hold.operation) for hold in node.holds),
        "image": [node.image.running, image_of(question) if reimages else None],
        "imager": imager_of(question) if reimages else "",
    }


def _promise(request: Request, ground: Ground, nodes: tuple[NodePlan, ...]) -> dict[str, object]:
    """What a confirmation covers: verb, clusters, options, and each node's part."""
    options, drain = request.options, request.options.drain
    return {
        "verb": request.verb.value,
        "sources": {name: found.identity for name, found in sorted(ground.identity.items())},
        "nodes": {str(node.node): node.promise for node in nodes},
        "options": [
            drain.ignore_daemonsets,
            drain.delete_emptydir,
            drain.force,
            drain.grace,
            drain.deadline,
            options.image,
            options.category,
            options.check_only,
            options.take_over,
            *(["requeue"] if drain.requeue else []),
            *([options.accept, options.accept_for, options.accept_until] if options.accept else []),
            *(["repaired", options.repaired] if options.repaired else []),
        ],
    }
