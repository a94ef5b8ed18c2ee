"""What every verb's plan shares: the question it answers, the blockers that any verb has, and how steps are named."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fleet.category import Category
from fleet.holder import Hold, HolderKind
from fleet.node import Admission, Node, NodeKey, Readiness, Stage
from fleet.plan import (
    Action,
    Before,
    Blocker,
    BlockerKind,
    NodeFacts,
    Permission,
    Request,
    Step,
    Verb,
)
from fleet.policy import Policy

NOT_THERE = "not there"
"""How a node is found that is none."""

_LAST = (Verb.CORDON.value, Verb.DRAIN.value, Verb.RETIRE.value)


@dataclass(frozen=True, slots=True)
class Question:
    """One node's share of a request: may this verb run here, and how?"""

    request: Request
    facts: NodeFacts
    category: Category
    policy: Policy
    now: datetime
    permission: Permission = Permission.UNKNOWN
    no_checks: str = ""  # why no active check may be run on it, where that was asked

    @property
    def node(self) -> Node:
        return self.facts.node

    def hold(self, verb: Verb, *, step: str = "") -> Hold:
        """Our hold for this request, as it is written on the node with the change itself."""
        return Hold(
            by=self.request.by,
            reason=self.request.reason,
            kind=HolderKind.OURS,
            verb=verb.value,
            operation=self.request.operation,
            since=self.now,
            found=self.node.admission.value,
            step=step,
        )


def found(facts: NodeFacts) -> str:
    """The node as found, in the fleet's words: `in-service, open, ready, v1`."""
    node = facts.node
    agent = "not heard of" if node.readiness is Readiness.UNKNOWN else node.readiness.value
    words = [node.stage.value, node.admission.value, "asleep" if node.asleep else agent]
    if node.image.running:
        words.append(node.image.running)
    return ", ".join(words)


def number(question: Question, actions: list[tuple[Action, str]]) -> tuple[Step, ...]:
    """Steps with ids that stay the same over a resume: `NODE/1-close`."""
    node = question.node
    before = Before(
        uid=node.uid,
        boot_id=node.boot_id,
        image=node.image.running,
        unschedulable=question.facts.unschedulable,
        holds=node.holds,
        stage=node.stage,
    )
    return tuple(
        Step(
            id=f"{node.key}/{ordinal}-{type(action).__name__.lower()}",
            node=node.key,
            action=action,
            says=says,
            before=before,
        )
        for ordinal, (action, says) in enumerate(actions, start=1)
    )


def general_blockers(question: Question) -> list[Blocker]:
    """Blockers that any verb has: no permission, a node that is being deleted, a retired one."""
    node, verb = question.node, question.request.verb
    blockers = []
    if question.permission is Permission.DENIED and not question.request.options.check_only:
        blockers.append(
            block(
                node.key,
                f"you are not permitted to {verb.value} here",
                go_on="ask for the role, or use another context",
            )
        )
    if question.permission is Permission.NOBODY and not question.request.options.check_only:
        blockers.append(block(node.key, f"nothing may be changed in {node.key.source}: it is only looked at"))
    if node.deleting:
        blockers.append(block(node.key, "it is being deleted", go_on="wait until it is gone"))
    if node.stage is Stage.RETIRED and verb is not Verb.CORDON:
        blockers.append(block(node.key, "it is retired", go_on="provision it anew"))
    return blockers


def block(node: NodeKey | None, says: str, *, go_on: str = "", option: bool = False) -> Blocker:
    """A blocker; with `option` one that an option lifts, which `go_on` then names."""
    return Blocker(node, says, go_on, BlockerKind.OPTION if option else BlockerKind.HARD)


def describe_hold(hold: Hold) -> str:
    """Who, why and since when, as far as it is known."""
    who = hold.by or "somebody unnamed"
    why = f": {hold.reason}" if hold.reason else ""
    since = f" since {hold.since:%Y-%m-%d %H:%M} UTC" if hold.since else ""
    return f"{who}{since}{why}"


def foreign_holds(question: Question) -> tuple[Hold, ...]:
    """Holds that are not this person's own: a colleague's, a controller's, an unnamed one."""
    by = question.request.by
    return tuple(hold for hold in question.node.holds if hold.kind is not HolderKind.OURS or hold.by != by)


def outlasting(node: Node, operation: str) -> tuple[Hold, ...]:
    """Holds that a PASS in `operation` leaves standing: another program's, and any of ours that no gate lifts."""
    return tuple(
        hold
        for hold in node.holds
        if hold.kind is not HolderKind.OURS or (hold.verb in _LAST and hold.operation != operation)
    )


def held_warnings(question: Question, then: str) -> tuple[str, ...]:
    """Who else holds the node, and what that means once the verb is done."""
    ours = question.request.operation
    holds = outlasting(question.node, ours)
    at_work = [hold for hold in question.node.holds if hold.at_work and hold.operation != ours]
    return (
        *(f"held by {describe_hold(hold)}; {then}" for hold in holds),
        *(
            f"operation {hold.operation} ({hold.verb}) of {describe_hold(hold)} may still be under way: see that it has ended"
            for hold in at_work
        ),
    )


def behind_the_gate(node: Node) -> bool:
    """Whether only a gate may open this node."""
    return node.admission is Admission.GATED or node.stage in (
        Stage.PROVISIONING,
        Stage.GATED,
        Stage.REIMAGING,
        Stage.QUARANTINED,
    )


def keeps_its_stage(node: Node) -> bool:
    """Whether a drain must leave the stage alone, so that it can't be a way round the gate."""
    return behind_the_gate(node) or node.stage is Stage.RETIRING


def unreachable(node: Node) -> bool:
    """Whether the node's agent is not heard of, so that nothing there ever finishes; one that sleeps has no work."""
    return node.readiness is Readiness.UNKNOWN and not node.asleep
