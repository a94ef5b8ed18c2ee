"""Cordon and uncordon: close and open admission, with a name and a reason, and never round the gate."""

from __future__ import annotations

from fleet.health import Verdict, failing
from fleet.holder import Hold, HolderKind
from fleet.node import Admission, Stage
from fleet.plan import Blocker, Close, NodePlan, Release, Verb
from fleet.verbs.common import (
    Question,
    behind_the_gate,
    block,
    describe_hold,
    foreign_holds,
    found,
    general_blockers,
    number,
)


def plan_cordon(question: Question) -> NodePlan:
    """Close admission. A node that this person already cordons needs nothing; a closed one gains a second hold."""
    node = question.node
    mine = [hold for hold in _own(question) if hold.verb == Verb.CORDON.value]
    blockers = tuple(general_blockers(question))
    if mine and node.admission is not Admission.OPEN:
        return NodePlan(
            node.key,
            blockers=blockers,
            already=(f"cordoned by {describe_hold(mine[0])}",),
            found=found(question.facts),
        )
    warnings = tuple(f"already closed by {describe_hold(hold)}" for hold in node.holds)
    action = Close(question.hold(Verb.CORDON))
    return NodePlan(
        node.key,
        steps=number(question, [(action, f"close {node.key.name} to new work")]),
        blockers=blockers,
        warnings=warnings,
        found=found(question.facts),
    )


def plan_uncordon(question: Question) -> NodePlan:
    """Open admission: lift our own hold, and open when nobody else's is left."""
    node, options = question.node, question.request.options
    blockers = general_blockers(question) + _uncordon_blockers(question)
    if node.admission is Admission.OPEN and not node.holds:
        return NodePlan(node.key, blockers=tuple(blockers), already=("open",), found=found(question.facts))
    stage = Stage.IN_SERVICE if node.stage in (Stage.DRAINING, Stage.DRAINED) else None
    taken = [hold for hold in foreign_holds(question) if _taken_over(hold, options.take_over)]
    warnings = [f"takes over the hold of {describe_hold(hold)}" for hold in taken]
    if node.stage is Stage.DRAINING:
        warnings.append("a drain did not end here: uncordon gives it up; evicted work does not come back")
    if node.asleep:
        warnings.append("it sleeps, and stays asleep until work wants it")
    if node.gate is not None and node.gate.verdict is Verdict.FAIL:
        warnings.append(f"its last gate was FAIL: {failing(node.gate.findings)}")
    names = [hold.by for hold in taken] + [hold.by for hold in _own(question) if not hold.operation]
    action = Release(
        # This request's own id is no hold's: a release that names no operation at all would lift everybody's.
        operations=(
            *(hold.operation for hold in _own(question) if hold.operation),
            question.request.operation,
        ),
        take_over=tuple(dict.fromkeys(names)),
        stage=stage,
    )
    return NodePlan(
        node.key,
        steps=number(question, [(action, f"open {node.key.name} to new work")]),
        blockers=tuple(blockers),
        warnings=tuple(warnings),
        found=found(question.facts),
    )


def _uncordon_blockers(question: Question) -> list[Blocker]:
    node = question.node
    if behind_the_gate(node):
        shown = node.stage.value if node.stage is not Stage.IN_SERVICE else node.admission.value
        return [block(node.key, f"it is {shown}: only a gate opens it", go_on="gate it")]
    if node.stage is Stage.RETIRING:
        go_on = "resume or cancel the retirement, retire it again, or gate it and then uncordon it"
        return [block(node.key, "it is being retired", go_on=go_on)]
    return [
        block(
            node.key,
            f"held by {describe_hold(hold)}",
            go_on=f"ask them, or take over: --take-over '{hold.by}'",
            option=True,
        )
        for hold in foreign_holds(question)
        if not _taken_over(hold, question.request.options.take_over)
    ]


def _own(question: Question) -> list[Hold]:
    by = question.request.by
    return [hold for hold in question.node.holds if hold.kind is HolderKind.OURS and hold.by == by]


def _taken_over(hold: Hold, names: tuple[str, ...]) -> bool:
    return hold.by in names
