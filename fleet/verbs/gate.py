"""Gate: run the checks, keep the verdict with its evidence, and apply it to a node that is closed."""

from __future__ import annotations

from fleet.node import Admission
from fleet.plan import Check, NodePlan
from fleet.verbs.common import Question, found, general_blockers, held_warnings, number


def plan_gate(question: Question) -> NodePlan:
    """One step. A node in service is only flagged; with `check_only` nothing is written at all."""
    node, options = question.node, question.request.options
    open_now = node.admission is Admission.OPEN
    action = Check(
        question.request.operation,
        question.request.by,
        flag_only=open_now,
        write=not options.check_only,
    )
    warnings = []
    if not open_now and not options.check_only:
        warnings.append("FAIL quarantines it; UNKNOWN leaves it closed")
        warnings += held_warnings(question, "a PASS leaves it closed for them")
    if open_now and not options.check_only:
        warnings.append("FAIL leaves it open, and only flags it: cordon it then")
    if node.asleep:
        warnings.append(f"it sleeps, so that no check can pass: wake it first ({node.asleep})")
    says = f"check {node.key.name}" + (
        "" if options.check_only else " and flag it" if open_now else ", and admit it on a PASS"
    )
    return NodePlan(
        node.key,
        steps=number(question, [(action, says)]),
        blockers=tuple(general_blockers(question)),
        warnings=tuple(warnings),
        found=found(question.facts),
    )
