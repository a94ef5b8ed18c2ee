"""How a drill goes without a trace: its operations are stopped first, then its ground is removed; and a killed one's after it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from fleet.dispatch import Dispatcher
from fleet.drill_ground import DrillGround, Leftover
from fleet.errors import FleetError
from fleet.journal import Kind, Record
from fleet.node import NodeKey
from fleet.operation import OperationState
from fleet.ports import Clock, Journal


class Who(Protocol):
    """Who removes, and by which clock."""

    @property
    def clock(self) -> Clock: ...

    @property
    def by(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Traces:
    """What earlier drills had left: removed by now, still there, and the ground of drills that others walk; all in words.

    `unknown` is what could not be looked for.
    """

    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


async def leave_no_trace(
    ground: DrillGround, dispatcher: Dispatcher, node: NodeKey, *, sure: bool = True
) -> tuple[str, ...]:
    """Stop what runs on the drill's node and remove the ground. Gives what is left, in words.

    Not `sure`: whether the ground was made at all is not known. The node is named where an operation was begun on it.
    """
    while (run := dispatcher.busy(node)) is not None:
        dispatcher.cancel(run.operation.id)
        await asyncio.gather(dispatcher.finished(run.operation.id), return_exceptions=True)
    try:
        return tuple(await ground.clean_up())
    except FleetError as error:
        begun = any(node in run.plan.request.nodes for run in dispatcher.runs.values())
        made = f", node {node.name}" if begun else ""
        made += "" if sure else ", which may have been made"
        return (f"namespace {ground.namespace}{made}: {error}",)


async def remove_leftovers(ground: DrillGround, journal: Journal, who: Who) -> Traces:
    """Remove what killed drills left. Those that are still walked are left alone."""
    removed: list[str] = []
    left: list[str] = []
    others: list[str] = []
    try:
        found = await ground.leftovers()
    except FleetError as error:
        return Traces(unknown=(f"what a killed drill may have left: {error}",))
    for each in found:
        if each.live:
            others.append(f"namespace {each.namespace} and node {each.node}: {each.live}")
            continue
        try:
            still = await ground.remove(each)
        except FleetError as error:
            still = (f"namespace {each.namespace}, node {each.node}: {error}",)
        left += still
        if not still:
            removed.append(_named(each))
            await _end_operations(journal, each, who)
    return Traces(tuple(removed), tuple(left), tuple(others))


def _named(left: Leftover) -> str:
    since = f" from {left.started:%Y-%m-%d %H:%M} UTC" if left.started else ""
    return f"namespace {left.namespace} and node {left.node}, {left.by or 'somebody'}'s{since}"


async def _end_operations(journal: Journal, left: Leftover, who: Who) -> None:
    """Write that the operations of a node which is gone can't be resumed, so that nobody is offered them."""
    try:
        for operation in await journal.operations():
            names = {key.name for key in operation.plan.request.nodes}
            if operation.state is OperationState.INTERRUPTED and names == {left.node}:
                record = Record(
                    who.clock.now(),
                    Kind.ENDED,
                    operation.id,
                    who.by,
                    operation.plan.verb.value,
                    state=OperationState.CANCELLED.value,
                    says="its drill was killed, and its node was removed",
                )
                await journal.append([record])
    except FleetError:
        return
