"""Active checks in a plan: which ones a category asks for, as steps that run before the verdict.

Only a closed node is asked: each takes all of its GPUs. By default no category asks for any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from fleet.category import Category, CheckPolicy, OnNode
from fleet.check_catalogue import CATALOGUE, LEVELS, default_policy
from fleet.diagnosis import DCGM_DIAG, NCCL, SITE, Diagnose
from fleet.health import Finding, Verdict
from fleet.node import Admission
from fleet.plan import Action, Blocker, NodeFacts, Request
from fleet.policy import Policy
from fleet.text import clean
from fleet.verbs.common import Question, block

_ALLREDUCE = ("all_reduce_perf", "-b", "8G", "-e", "16G", "-f", "2", "-g", "{gpus}")
_DEADLINE = timedelta(minutes=15)
_WORDS = 80
"""How much of a site's own words, its command and its image, is told in a step."""


def asked(category: Category) -> Mapping[str, CheckPolicy]:
    """The active checks that a category runs, by name, in the order in which they are run."""
    own = sorted(name for name in category.checks if name.startswith(SITE))
    named = {name: category.checks.get(name) or default_policy(name) for name in (DCGM_DIAG, NCCL, *own)}
    return {name: rule for name, rule in named.items() if rule.enabled}


def runs_checks(policy: Policy) -> bool:
    """Whether any category runs an active check."""
    return any(asked(category) for category in (*policy.categories.values(), policy.any_other))


def diagnose_actions(request: Request, name: str, category: Category) -> list[tuple[Action, str]]:
    """The active checks of a node of that name that is closed once they run, each as a step in words."""
    found: list[tuple[Action, str]] = []
    for check, rule in asked(category).items():
        on_node = rule.on_node or OnNode()
        command, what, deadline = _run_of(check, on_node)
        deadline = on_node.deadline or deadline
        action = Diagnose(
            check,
            request.operation,
            request.by,
            command,
            on_node.image,
            limit=rule.limit,
            deadline=deadline,
            starts_in=category.settle_deadline,
        )
        image = f", in {clean(on_node.image, _WORDS)}" if on_node.image else ""
        most = _span(deadline)
        found.append((action, f"run {check} on {name}: {what}, at most {most}, on all its GPUs{image}"))
    return found


def _span(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    return f"{seconds} s" if seconds % 60 else f"{seconds // 60} min"


def not_to_be_run(question: Question) -> tuple[list[Blocker], list[str]]:
    """Blockers and warnings where nothing may be run on the node: a needed check that is not accepted blocks."""
    accepted = {word.check for word in question.node.accepted if question.now < word.until}
    accepted.add(question.request.options.accept)
    blockers, warnings = [], []
    for check, says, needed in _unable(question.category, question.no_checks):
        if needed and check not in accepted:
            go_on = f"get that mended, or let it stay unknown once: gate with --accept {check}"
            blockers.append(block(question.node.key, says, go_on=go_on))
        else:
            warnings.append(f"{says}: it stays UNKNOWN")
    return blockers, warnings


def not_to_be_run_yet(category: Category, why: str) -> list[str]:
    """Warnings where nothing may be run on a node that is yet to be made: it is made all the same, and stays closed."""
    return [
        f"{says}: it stays UNKNOWN" + (", and the node closed" if needed else "")
        for _, says, needed in _unable(category, why)
    ]


def _unable(category: Category, why: str) -> Iterator[tuple[str, str, bool]]:
    """The checks that can't be run for that reason, in words, and whether each is needed; none where there is no reason."""
    for check, rule in asked(category).items() if why else ():
        yield check, f"{check} can't be run: {why}", rule.needed


def not_run(facts: NodeFacts, check: str, *, looks_only: bool) -> Finding:
    """The finding of an active check that was not run. It says nothing for or against a node in service."""
    source, wants = facts.node.key.source, _wants(check)
    if facts.node.admission is Admission.OPEN:
        value = "not run: it runs on a closed node alone"
        return Finding(check, Verdict.UNKNOWN, value, wants, source, needed=False, absent=True)
    value = "not run: --check starts nothing on a node" if looks_only else "not run"
    return Finding(check, Verdict.UNKNOWN, value, wants, source, clears="gating it while it is closed")


def _wants(check: str) -> str:
    spec = CATALOGUE.get(check)
    return "exit 0" if spec is None else spec.wants


def _run_of(check: str, on_node: OnNode) -> tuple[tuple[str, ...], str, timedelta]:
    """What is run, in words with how long that takes where it is known, and after how long it is given up."""
    own = clean(" ".join(on_node.command), _WORDS)
    if check == DCGM_DIAG:
        takes, deadline = LEVELS[on_node.level]
        command = on_node.command or ("dcgmi", "diag", "-r", str(on_node.level), "-j")
        return command, own or f"dcgmi diag level {on_node.level}, {takes}", deadline
    if check == NCCL:
        return on_node.command or _ALLREDUCE, own or "all_reduce_perf, about 2 min", _DEADLINE
    return on_node.command, own or "no command is configured", _DEADLINE
