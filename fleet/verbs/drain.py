"""Drain: close the node, then move its work away within the orchestrator's rules, and say what that costs."""

from __future__ import annotations

from datetime import timedelta

from fleet.holder import HolderKind
from fleet.node import Stage
from fleet.plan import Action, Blocker, Close, Mark, MoveWork, NodePlan
from fleet.verbs.common import (
    Question,
    block,
    found,
    general_blockers,
    held_warnings,
    keeps_its_stage,
    number,
    unreachable,
)
from fleet.verbs.drain_filters import Sorted, sort_placements
from fleet.workload import Keeper, Placement


def plan_drain(question: Question) -> NodePlan:
    """Close, move the work, mark as drained. A node behind the gate keeps its stage: a drain is no way round it.

    One that somebody else drained gains our hold, so that it does not open under us when they are done.
    """
    node = question.node
    sorting = sort_placements(question.facts.placements, question.request.options.drain)
    keeps = keeps_its_stage(node)
    actions: list[tuple[Action, str]] = [*close_and_move(question, None if keeps else Stage.DRAINING)]
    if not keeps:
        actions.append((Mark(Stage.DRAINED), f"mark {node.key.name} as drained"))
    blockers = general_blockers(question) + moving_blockers(question, sorting)
    mine = any(hold.kind is HolderKind.OURS and hold.by == question.request.by for hold in node.holds)
    if not sorting.must_go and node.stage is Stage.DRAINED and mine and not blockers:
        return NodePlan(node.key, already=("drained",), found=found(question.facts))
    return NodePlan(
        node.key,
        steps=number(question, actions),
        blockers=tuple(blockers),
        warnings=held_warnings(question, "it stays closed for them when this is undone")
        + moving_warnings(sorting.evict)
        + waiting_warnings(question, sorting),
        moves=tuple(sorting.evict),
        found=found(question.facts),
    )


def close_and_move(question: Question, stage: Stage | None) -> list[tuple[Action, str]]:
    """The two steps every verb begins with that takes work away."""
    node, verb = question.node, question.request.verb
    sorting = sort_placements(question.facts.placements, question.request.options.drain)
    return [
        (Close(question.hold(verb), stage=stage), f"close {node.key.name} to new work"),
        (
            MoveWork(question.request.options.drain, deadline(question)),
            f"{_what(sorting)}, for at most {_span(deadline(question))}",
        ),
    ]


def deadline(question: Question) -> timedelta:
    """The drain's deadline: the one asked for, else the category's."""
    return question.request.options.drain.deadline or question.category.drain_deadline


def moving_blockers(question: Question, sorting: Sorted) -> list[Blocker]:
    """Why the work can't be moved: filters, a grace longer than the deadline, a node that is not heard of."""
    node = question.node
    blockers = [
        block(node.key, f"{_some(names)} {says}", go_on=f"allow it with {option}", option=True)
        for (option, says), names in _stops_by_option(sorting).items()
    ]
    if unreachable(node) and sorting.must_go:
        blockers.append(
            block(
                node.key,
                f"it is unreachable, so no eviction there ever finishes (bound there: {len(sorting.must_go)})",
                go_on="bring it back or power it off first; cordon it meanwhile",
            )
        )
    grace = question.request.options.drain.grace
    longest = max(
        (grace if grace is not None else item.grace for item in sorting.evict), default=timedelta(0)
    )
    if longest >= deadline(question):
        blockers.append(
            block(
                node.key,
                f"the deadline {_span(deadline(question))} is not longer than a pod's grace of {_span(longest)}",
                go_on="give a longer --timeout, or a shorter --grace-period",
                option=True,
            )
        )
    return blockers


def moving_warnings(evicted: tuple[Placement, ...]) -> tuple[str, ...]:
    """What the confirm screen says of work that does not come back, and of budgets that hold it now."""
    warnings = []
    alone = [item for item in evicted if item.keeper is Keeper.NOBODY and not item.finished]
    lost = [describe_job(item) for item in alone if item.waits]
    if lost:
        warnings.append(f"lost, for {'it' if len(lost) == 1 else 'they'} can't be requeued: {_some(lost)}")
    bare = [item.label for item in alone if not item.waits]
    if bare:
        warnings.append(f"{len(bare)} without a controller will not come back: {_some(bare)}")
    scratch = [item.label for item in evicted if item.loses_scratch and not item.finished]
    if scratch:
        warnings.append(f"{len(scratch)} will lose node-local scratch: {_some(scratch)}")
    held = {budget.label for item in evicted for budget in item.budgets if budget.allowed <= 0}
    warnings += [f"will wait for budget {name}, which allows none to go now" for name in sorted(held)]
    if any(item.waits for item in evicted):
        warnings.append(
            "requeued jobs start anew, what they did so far is lost to them; cancelling does not bring it back"
        )
        warnings += [
            f"{item.label} is suspended: requeued it is held, until somebody releases it"
            for item in evicted
            if item.halted == "suspended" and item.keeper is not Keeper.NOBODY
        ]
    elif any(not item.finished for item in evicted):
        warnings.append("evicted pods are started elsewhere or lost; cancelling does not bring them back")
    return tuple(warnings)


def waiting_warnings(question: Question, sorting: Sorted) -> tuple[str, ...]:
    """Which batch jobs the drain waits for, and whose time runs past its deadline."""
    waited = [item for item in sorting.leaving if item.waits and item.terminating_since is None]
    if not waited:
        return ()
    says = [
        f"waits for {len(waited)} to end in its own time: {_some([describe_job(item) for item in waited])}"
    ]
    until = deadline(question)
    late = [item for item in waited if item.time_left is None or item.time_left > until]
    past = f"may run past the deadline of {_span(until)}"
    if halted := [item.label for item in waited if item.halted]:
        says.append(f"{_some(halted)} will not end until somebody lets {_them(halted)} run")
    if back := [item.label for item in late if item.keeper is not Keeper.NOBODY]:
        says.append(f"{_some(back)} {past}: --requeue starts {_them(back)} anew elsewhere")
    if lost := [item.label for item in late if item.keeper is Keeper.NOBODY]:
        says.append(f"{_some(lost)} {past}, and can't be requeued")
    return tuple(says)


def _them(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def describe_job(item: Placement, *, owned: bool = True) -> str:
    """A batch job in a few words: `71 (user oncall, 3 h left, 8 GPUs)`; not `owned`, without the user."""
    user = f"user {item.user}" if owned and item.user else ""
    left = "no time limit" if item.time_left is None else f"{_rounded(item.time_left)} left"
    words = [user, left, f"{item.gpus} GPUs" if item.gpus else ""]
    lost = "" if item.keeper is not Keeper.NOBODY else "can't be requeued"
    return f"{item.label} ({', '.join(word for word in (*words, lost, item.halted) if word)})"


def _what(sorting: Sorted) -> str:
    gone = sum(item.terminating_since is None for item in sorting.leaving)
    jobs = sum(item.waits for item in sorting.evict)
    lost = sum(item.waits and item.keeper is Keeper.NOBODY for item in sorting.evict)
    parts = [
        _counted("wait for", gone, "job", "to end"),
        _counted("requeue", jobs - lost, "job", ""),
        _counted("end", lost, "job", "for good"),
        _counted("move", len(sorting.evict) - jobs, "pod", "away"),
    ]
    return ", ".join(part for part in parts if part) or "nothing to move"


def _counted(verb: str, count: int, noun: str, rest: str) -> str:
    return f"{verb} {count} {noun}{'s' if count > 1 else ''} {rest}".rstrip() if count else ""


def _stops_by_option(sorting: Sorted) -> dict[tuple[str, str], list[str]]:
    stops: dict[tuple[str, str], list[str]] = {}
    for stop in sorting.blocked:
        named = f"job {stop.placement.label}" if stop.placement.waits else stop.placement.label
        stops.setdefault((stop.option, stop.says), []).append(named)
    return stops


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _rounded(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    if minutes < 1:
        return f"{int(span.total_seconds())} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    if seconds % 3600 == 0 and seconds:
        return f"{seconds // 3600} h"
    if seconds % 60 == 0 and seconds:
        return f"{seconds // 60} min"
    return f"{seconds} s"
