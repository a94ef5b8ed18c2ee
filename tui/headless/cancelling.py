"""cancel: have the program that runs an operation cancel it, and say how it ended."""

from __future__ import annotations

import argparse
from datetime import timedelta

from fleet.cancel_requests import ask_to_cancel
from fleet.errors import Blocked, Missing
from fleet.operation import Operation, OperationState
from fleet.ports import Clock, Journal
from tui.exits import DONE, FAILED
from tui.headless.shapes import operation_shape, put
from tui.headless.words import operation_lines, tell

ENDS_WITHIN = timedelta(minutes=1)
_LOOKS_EVERY = timedelta(seconds=0.25)


async def cancel(
    journal: Journal, asked: argparse.Namespace, *, by: str, clock: Clock, read_only: bool = False
) -> int:
    """`cancel OPERATION`: exit 0 once it ended as cancelled, 1 where it ended otherwise or has not ended within a minute.

    Raises Missing, Blocked, JournalFailed.
    """
    if read_only:
        raise Blocked("this session is read-only: nothing was done", about=asked.operation)
    owner = await ask_to_cancel(journal, asked.operation, by, clock)
    tell(f"asked {owner} to cancel {asked.operation}: it stops at its next safe point")
    ended = await _ended(journal, asked.operation, clock)
    if asked.json:
        put(operation_shape(ended))
    if ended.state is OperationState.INTERRUPTED:
        alive = await journal.owner(asked.operation)
        tell(f"it has not ended yet: {owner} still runs it" if alive else "its program ended before it did")
        return FAILED
    for line in operation_lines(ended):
        tell(line)
    return DONE if ended.state is OperationState.CANCELLED else FAILED


async def _ended(journal: Journal, operation: str, clock: Clock) -> Operation:
    """The operation once its records tell its end, its owner is gone, or patience is."""
    until = clock.monotonic() + ENDS_WITHIN.total_seconds()
    while True:
        alive = await journal.owner(operation) is not None
        found = await journal.operation(operation)
        if found is None:
            raise Missing("it has gone from the journal", about=operation)
        if found.state is not OperationState.INTERRUPTED or not alive or clock.monotonic() >= until:
            return found
        await clock.sleep(_LOOKS_EVERY)
