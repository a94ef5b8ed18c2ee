"""Gate: run the checks, keep the verdict with its evidence, and apply it to a node that is closed.

With it a person may vouch: accept one check that is UNKNOWN for a time, or note what was mended. That is written on the node first.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from fleet.active_checks import asked, diagnose_actions, not_to_be_run
from fleet.evidence import fault_of
from fleet.gate_checks import ACCEPTABLE
from fleet.health import Acceptance, Repair
from fleet.node import Admission
from fleet.plan import Action, Attest, Blocker, Check, NodePlan
from fleet.verbs.common import Question, block, found, general_blockers, held_warnings, number

ACCEPT_FOR = timedelta(hours=8)
"""How long a check is accepted where nobody said until when: a shift, and never longer than the policy allows."""


def plan_gate(question: Question) -> NodePlan:
    """What is vouched for, then one check. A node in service is only flagged; with `check_only` nothing is written at all."""
    node, options = question.node, question.request.options
    open_now = node.admission is Admission.OPEN
    action = Check(
        question.request.operation,
        question.request.by,
        flag_only=open_now,
        write=not options.check_only,
        by_cordon=question.category.gate_by_cordon,
    )
    warnings = []
    if not open_now and not options.check_only:
        warnings.append("FAIL quarantines it; UNKNOWN leaves it closed")
        warnings += held_warnings(question, "a PASS leaves it closed for them")
    if open_now and not options.check_only:
        warnings.append("FAIL leaves it open, and only flags it: cordon it then")
    if node.asleep:
        warnings.append(f"it sleeps, so that no check can pass: wake it first ({node.asleep})")
    if options.accept and not options.check_only:
        warnings.append(f"{options.accept} stays UNKNOWN; a FAIL of it is not accepted")
    warnings += [f"accepted already: {says(word)}" for word in node.accepted if question.now < word.until]
    told = f"check {node.key.name}" + (
        "" if options.check_only else " and flag it" if open_now else ", and admit it on a PASS"
    )
    runs = not open_now and not options.check_only
    diagnoses = diagnose_actions(question.request, node.key.name, question.category) if runs else []
    unable, untold = not_to_be_run(question) if runs else ([], [])
    warnings += untold
    if open_now and not options.check_only and (left_out := ", ".join(asked(question.category))):
        warnings.append(f"{left_out}: not run, for it is in service and they take all its GPUs")
    actions: list[tuple[Action, str]] = [*_attests(question), *diagnoses, (action, told)]
    return NodePlan(
        node.key,
        steps=number(question, actions),
        blockers=(*general_blockers(question), *_blockers(question), *unable),
        warnings=tuple(warnings),
        found=found(question.facts),
    )


def says(word: Acceptance) -> str:
    """An acceptance in words."""
    why = f": {word.reason}" if word.reason else ""
    return f"{word.check}, until {word.until:%Y-%m-%d %H:%M} UTC, by {word.by or 'somebody unnamed'}{why}"


def _attests(question: Question) -> list[tuple[Action, str]]:
    """A person's words, each as a step that writes it on the node."""
    request, options = question.request, question.request.options
    found: list[tuple[Action, str]] = []
    if options.accept:
        until = _until(question)
        word = Acceptance(options.accept, request.by, request.reason, question.now, until)
        found.append((Attest(question.now, acceptance=word), f"accept {says(word)}"))
    if options.repaired:
        repair = Repair(request.by, options.repaired, question.now, fault_of(question.node))
        found.append((Attest(question.now, repair=repair), f"note the repair: {options.repaired}"))
    return found


def _until(question: Question) -> datetime:
    options = question.request.options
    if options.accept_until is not None:
        return options.accept_until
    span = options.accept_for or min(ACCEPT_FOR, question.policy.accept_at_most)
    return question.now + span


def _blockers(question: Question) -> list[Blocker]:
    node, options, policy = question.node, question.request.options, question.policy
    blockers = []
    vouches = options.accept or options.repaired
    if vouches and options.check_only:
        says = "a check that writes nothing can't keep your word"
        blockers.append(block(node.key, says, go_on="leave out --check"))
    if options.accept:
        acceptable = dict.fromkeys((*ACCEPTABLE, *asked(question.category)))
        if options.accept not in acceptable:
            known = ", ".join(acceptable)
            says = f"{options.accept} is no check that can be accepted"
            blockers.append(block(node.key, says, go_on=f"one of {known}; for evidence, --repaired TEXT"))
        until, longest = _until(question), question.now + policy.accept_at_most
        if until <= question.now:
            blockers.append(block(node.key, f"it would have ended at {until:%Y-%m-%d %H:%M} UTC"))
        if until > longest:
            hours = policy.accept_at_most.total_seconds() / 3600
            says = f"a check is accepted for at most {hours:g} h (gate.accept_at_most)"
            blockers.append(block(node.key, says, go_on=f"until {longest:%Y-%m-%d %H:%M} UTC at the latest"))
    if options.repaired and not fault_of(node):
        says = "no fault on record asks for a repair"
        blockers.append(block(node.key, says, go_on="gate it as it is"))
    return blockers
