"""Translates what Slurm's commands print when they fail into the fleet's errors.

    Unreachable    no such command, no slurm.conf, no controller, munge dead, no answer in time
    Denied         "Invalid user id", "Permission denied", "Access/permission denied"
    Missing        an unknown node, job, partition or reservation
    Conflict       a reservation of that name exists; the node is busy
    Rejected       the request was understood and refused as wrong
    OutcomeUnknown a change that was sent, and whose answer is lost

A change whose credential could not be made, or whose controller could not be connected to, was never sent. One that timed
out may be applied later all the same (seen with 22.05.8), so it is OutcomeUnknown. Texts are those of Slurm's slurm_errno.c.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.errors import Conflict, Denied, FleetError, Missing, OutcomeUnknown, Rejected, Unreachable
from fleet.text import clean

_NEVER_SENT = (
    "could not establish a configuration source",
    "unable to process configuration file",
    "munge encode failed",
    "(connect failure)",
    "unable to resolve",
    "unable to establish control machine address",
    "incompatible versions of client and server code",
    "backup controller in standby mode",
)
_LOST = (
    "unable to contact slurm controller",
    "socket timed out",
    "zero bytes were transmitted",
    "protocol authentication error",
    "unexpected message received",
    "message receive failure",
    "message send failure",
    "communication connection failure",
    "communication shutdown failure",
    "header lengths are longer than data received",
    "connection refused",
    "connection reset",
    "slurmctld: try again",
)
_DENIED = (
    "invalid user id",
    "permission denied",
    "user not found on host",
    "requires operator",
    "not authorized",
)
_MISSING = (
    "invalid node name specified",
    "invalid job id specified",
    "invalid partition name specified",
    "reservation is invalid",
    "not found",
)
_CONFLICT = ("duplicate reservation name", "requested nodes are busy", "nodes busy")
_PREFIX = re.compile(r"^(?:\w[\w-]*: )?(?:error|fatal): |^slurm_\w+ error: |^\w+ error: ", re.MULTILINE)
_NOT_FOUND = re.compile(r"^Node (\S+) not found$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ran to its end. `rc` is its exit status; `out` and `err` are what it printed."""

    argv: tuple[str, ...]
    rc: int
    out: str
    err: str


def spelled(argv: Sequence[str]) -> str:
    """A command as a person would type it, short enough for a line."""
    return clean(shlex.join(argv), 160)


def translate(done: Completed, *, about: str = "", write: bool = False) -> FleetError:
    """The error that a command's failure means. `about` is the node, the command where there is none."""
    said = f"{done.err}\n{done.out if done.rc else ''}".lower()
    words = _words(done)
    message = f"{spelled(done.argv)}: {words}" if about else words
    about = about or spelled(done.argv)
    kind = _kind(said, write=write)
    return kind(f"{message}: read it back" if kind is OutcomeUnknown else message, about=about)


def nodes_not_found(done: Completed) -> tuple[str, ...]:
    """The nodes that `scontrol show node` says it does not know, beside those that it printed."""
    return tuple(_NOT_FOUND.findall(done.out))


def _kind(said: str, *, write: bool) -> type[FleetError]:
    if any(text in said for text in _NEVER_SENT):
        return Unreachable
    if any(text in said for text in _LOST):
        return OutcomeUnknown if write else Unreachable
    for texts, kind in ((_DENIED, Denied), (_CONFLICT, Conflict), (_MISSING, Missing)):
        if any(text in said for text in texts):
            return kind
    return Rejected


def _words(done: Completed) -> str:
    """The last thing it said, which is what failed; with the first, which is why, where they differ."""
    printed = done.err.strip() or done.out.strip()
    lines = [line for line in (clean(_PREFIX.sub("", raw), 300) for raw in printed.splitlines()) if line]
    lines = [line for line in lines if "restart with --num-threads" not in line]
    if not lines:
        return f"exit status {done.rc} without a word"
    return lines[0] if lines[0] == lines[-1] else f"{lines[-1]} ({lines[0]})"
