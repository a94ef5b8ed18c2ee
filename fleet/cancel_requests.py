"""Cancelling an operation that another program runs: the request is written in the journal, where its owner looks every second.

The owner alone stops it, at its next safe point and with the ending that its verb gives a cancel; whoever asked changes nothing.
One whose program is gone has no owner, and is cancelled by whoever resumes it for that.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from fleet.dispatch import Dispatcher
from fleet.errors import Blocked, JournalFailed, Missing
from fleet.journal import Kind, Record
from fleet.operation import Operation, OperationState
from fleet.ports import Clock, Journal

LOOKS_EVERY = timedelta(seconds=1)


class CancelRequests:
    """Heeds the requests for the operations of this program. `told` takes a line that says who asked."""

    def __init__(
        self, dispatcher: Dispatcher, journal: Journal, clock: Clock, told: Callable[[str], None]
    ) -> None:
        self._dispatcher = dispatcher
        self._journal = journal
        self._clock = clock
        self._told = told

    async def follow(self) -> None:
        """Look until cancelled. A journal that fails stops the operations by itself."""
        while True:
            await self._clock.sleep(LOOKS_EVERY)
            await self.one_look()

    async def one_look(self) -> None:
        """Stop what somebody asked to stop."""
        running = [run.operation.id for run in self._dispatcher.running() if run.stop is None]
        if not running:
            return
        try:
            asked = await self._journal.cancels(running)
        except JournalFailed:
            return
        for operation, by in asked.items():
            if operation in {run.operation.id for run in self._dispatcher.running()}:
                self._dispatcher.cancel(operation)
                self._told(f"{by} cancels {operation}")


async def ask_to_cancel(journal: Journal, operation: str, by: str, clock: Clock) -> str:
    """Ask the program that runs an operation to cancel it; who that is. Durable on return.

    Raises Missing where the journal has none of that id, Blocked where nobody runs it, JournalFailed.
    """
    found = await journal.operation(operation)
    if found is None:
        raise Missing(
            "there is no such operation in this journal; every user has one of their own", about=operation
        )
    owner = await journal.owner(operation)
    if owner is None:
        raise Blocked(_not_running(found), about=operation)
    await journal.append(
        [Record(clock.now(), Kind.CANCEL_ASKED, operation, by, found.plan.verb.value, says=f"asked {owner}")]
    )
    return owner


async def cut_off(journal: Journal, operation: str) -> Operation | None:
    """The operation, where it was interrupted and nobody runs it any more; else None. Raises JournalFailed."""
    found = await journal.operation(operation)
    if found is None or found.state is not OperationState.INTERRUPTED:
        return None
    return found if await journal.owner(operation) is None else None


def _not_running(found: Operation) -> str:
    if found.state is not OperationState.INTERRUPTED:
        return f"it is {found.state.value}: there is nothing to cancel"
    return (
        "nobody runs it any more: its program has just gone, and its nodes stay as they are. "
        f"Cancel it again to end it from here; `quarterdeck resume {found.id}` goes on with it"
    )
