"""Exit codes, as the command line promises them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.errors import Blocked, Denied, FleetError, Missing, Unreachable

if TYPE_CHECKING:
    from fleet.operation import Operation

DONE = 0
FAILED = 1
USAGE = 2
BLOCKED = 3
UNREACHABLE = 4


def code_of(error: FleetError) -> int:
    """The exit code that an error from outside ends a command with."""
    if isinstance(error, Unreachable | Denied):
        return UNREACHABLE
    if isinstance(error, Blocked):
        return BLOCKED
    if isinstance(error, Missing):
        return USAGE
    return FAILED


def code_of_operation(operation: Operation) -> int:
    """The exit code that an operation ends a command with: a denied step reads as not permitted."""
    from fleet.operation import OperationState  # not on the way to a first frame

    if operation.state is OperationState.DONE:
        return DONE
    if any(outcome.evidence == "denied" for outcome in operation.outcomes):
        return UNREACHABLE
    if any(outcome.evidence == "UNKNOWN" for outcome in operation.outcomes):
        return BLOCKED
    return FAILED
