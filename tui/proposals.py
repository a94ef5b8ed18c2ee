"""A plan asked for, and a plan begun, as values: what fails outside becomes a text, so that screens catch nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from fleet.cancel_requests import ask_to_cancel, cut_off
from fleet.errors import FleetError
from fleet.operation import Operation
from fleet.plan import Plan, Request
from fleet.runner import OperationRun
from tui.deck import Deck

READ_WITHIN = timedelta(seconds=20)
"""A plan that can't be read in this time is given up, saying so."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan, or why there is none."""

    plan: Plan | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that began, or why it did not."""

    run: OperationRun | None = None
    why: str = ""


async def propose(deck: Deck, request: Request, within: timedelta = READ_WITHIN) -> Proposal:
    """Read the ground and plan. Nothing is changed."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            return Proposal(await deck.dispatcher.plan(request))
    except FleetError as error:
        return Proposal(why=str(error))
    except TimeoutError:
        return Proposal(why=f"no answer within {within.total_seconds():.0f} s")


def begin(deck: Deck, plan: Plan) -> Begun:
    """Start a confirmed plan."""
    try:
        return Begun(deck.dispatcher.start(plan))
    except FleetError as error:
        return Begun(why=str(error))


async def go_on(deck: Deck, operation: Operation) -> Begun:
    """Resume an operation that was interrupted."""
    try:
        return Begun(await deck.dispatcher.resume(operation))
    except FleetError as error:
        return Begun(why=str(error))


async def stop(deck: Deck, operation: str) -> str:
    """Cancel an operation, by the program that runs it, else from here; why not, or an empty text."""
    try:
        if operation in deck.dispatcher.runs:
            deck.dispatcher.cancel(operation)
        elif deck.dispatcher.read_only:
            return "this session is read-only: nothing can be changed"
        elif (left := await cut_off(deck.journal, operation)) is not None:
            await deck.dispatcher.resume(left, to_cancel=True)
        else:
            await ask_to_cancel(deck.journal, operation, deck.by, deck.clock)
    except FleetError as error:
        return str(error)
    return ""


def changed_since_shown(shown: Plan, fresh: Plan) -> str:
    """What of a plan read again is not as it was shown, in words; empty where it may go on."""
    if fresh.all_blockers:
        first = fresh.all_blockers[0]
        return (f"{first.node.name}: " if first.node else "") + first.says
    if fresh.hash != shown.hash:
        return "a node changed while you read: look again"
    more = set(fresh.radius.workloads) - set(shown.radius.workloads)
    return f"work landed while you read ({min(more)}): look again" if more else ""


async def ending(deck: Deck, operation: str) -> str:
    """Wait until an operation of this program ended; why it could not go on, empty where it ended as its record says."""
    try:
        # Shielded: a screen that goes away must not take the operation with it.
        await asyncio.shield(deck.dispatcher.finished(operation))
    except FleetError as error:
        return str(error)
    return ""
