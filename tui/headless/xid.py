"""xid: what a code means and what to do, or what a kernel log given on stdin holds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import BinaryIO

from fleet.policy import Policy
from fleet.text import clean
from fleet.xid import Severity, View, Xid, asks, lookup
from fleet.xid_log import Digest, Fault, LogReader, asks_of
from tui.exits import BLOCKED, DONE, FAILED
from tui.headless.shapes import Shape, put
from tui.headless.words import table, tell
from tui.settings import BadSettings, Settings

LOG = "-"
"""Stands for the log on stdin where a code is expected."""

_LONGEST_LINE = 1 << 16
_HEAD = ("SEVERITY", "FAULT", "GPU", "TIMES", "FIRST", "LAST", "PROCESS", "WHAT TO DO")


def xid(asked: argparse.Namespace, settings: Settings) -> int:
    """A code, or the log on stdin. Raises BadSettings where there is neither."""
    if asked.code is None and sys.stdin.isatty():
        raise BadSettings("xid", "", "expected the number of an XID, or a kernel log on stdin")
    if asked.code in (None, LOG):
        return _log(sys.stdin.buffer, settings.policy, json=asked.json)
    return _code(lookup(int(asked.code)), settings, json=asked.json)


def _code(found: Xid, settings: Settings, *, json: bool) -> int:
    """Name, NVIDIA's actions, how hard this site takes it and who takes it otherwise."""
    severity = settings.policy.severity_of_xid(found.code)
    if json:
        put(_code_shape(found, severity, settings))
        return DONE
    for line in _code_lines(found, severity, settings):
        print(clean(line))  # noqa: T201 - what was asked for
    return DONE


def _code_lines(found: Xid, severity: Severity, settings: Settings) -> Iterator[str]:
    yield found.label
    if not found.listed:
        yield "no catalogue lists this code"
    else:
        yield f"listed for: {', '.join(found.families) or 'neither H100 nor GB200'}"
    yield f"NVIDIA, at once: {found.action} ({found.asks})"
    if found.investigate:
        yield f"NVIDIA, then: {found.investigate} ({found.then})"
    keeps = "keeps a gate closed" if _forbids(found, settings.policy) else "does not keep a gate closed"
    yield f"severity: {severity.value}, by {_who(found, settings)}; it {keeps}"
    if severity is not found.severity:
        yield f"the default would be {found.severity.value}"
    if found.gpud_repair:
        yield f"gpud's repair: {found.gpud_repair.replace('>', ', then ')}"
    agree = [view for view in found.views if view.severity is severity]
    for word, views in (("agree", agree), ("disagree", list(found.disagreeing(severity)))):
        if views:
            yield f"{word}: {', '.join(f'{view.catalogue} ({view.says})' for view in views)}"


def _code_shape(found: Xid, severity: Severity, settings: Settings) -> Shape:
    return {
        "code": found.code,
        "name": found.name or None,
        "listed": found.listed,
        "applies_to": list(found.families),
        "action": found.action,
        "asks": found.asks,
        "investigate": found.investigate or None,
        "investigate_asks": found.then or None,
        "severity": severity.value,
        "severity_by": _who(found, settings),
        "default_severity": found.severity.value,
        "keeps_gate_closed": _forbids(found, settings.policy),
        "gpud_repair": found.gpud_repair or None,
        "catalogues": [_view_shape(view, severity) for view in found.views],
    }


def _view_shape(view: View, severity: Severity) -> Shape:
    return {"catalogue": view.catalogue, "says": view.says, "agrees": view.severity is severity}


def _who(found: Xid, settings: Settings) -> str:
    """Which policy won: the site's file where it names the code, else the catalogue's default."""
    return str(settings.file) if found.code in settings.policy.xid_severity else "default"


def _forbids(found: Xid, policy: Policy) -> bool:
    return found.code in policy.forbidden_xids


def _log(stream: BinaryIO, policy: Policy, *, json: bool) -> int:
    """Every fault of a kernel log, the hardest first. Exit 1 where one is of severity FAIL, 3 where an XID can't be read."""
    digest = LogReader(policy).read(_lines(stream))
    if json:
        put(_log_shape(digest))
    elif digest.faults:
        for line in table(_HEAD, map(_row, digest.faults)):
            print(line)  # noqa: T201 - what was asked for
    for line in _words(digest):
        tell(line)
    if digest.worst is Severity.FAIL:
        return FAILED
    return BLOCKED if digest.unreadable else DONE


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """The log's lines; of one without end its beginning, so that it is one line and not held as a whole."""
    while line := stream.readline(_LONGEST_LINE):
        yield line
        while line and not line.endswith(b"\n"):
            line = stream.readline(_LONGEST_LINE)


def _words(digest: Digest) -> Iterator[str]:
    if not digest.faults:
        yield f"no GPU fault {'that can be read ' if digest.unreadable else ''}in {digest.lines} lines"
    if digest.unreadable:
        first = f"the first on line {digest.first_unreadable}: {digest.unreadable_says}"
        yield f"XIDs that can't be read: {digest.unreadable}, {first}"
    if digest.beyond:
        yield f"{digest.beyond} more faults were left out"


def _row(fault: Fault) -> tuple[str, ...]:
    detail = fault.recovery or (f"{fault.part} link {fault.link}" if fault.link is not None else fault.part)
    return (
        fault.severity.value,
        f"{fault.label}: {detail}" if detail else fault.label,
        f"{fault.host} {fault.device or fault.uuid or '?'}".strip(),
        str(fault.count),
        fault.first or "?",
        fault.last or "?",
        fault.process,
        asks_of(fault),
    )


def _log_shape(digest: Digest) -> Shape:
    return {
        "worst": digest.worst.value if digest.worst else None,
        "lines": digest.lines,
        "unreadable": digest.unreadable,
        "first_unreadable": {"line": digest.first_unreadable, "says": digest.unreadable_says}
        if digest.unreadable
        else None,
        "left_out": digest.beyond,
        "faults": [_fault_shape(fault) for fault in digest.faults],
    }


def _fault_shape(fault: Fault) -> Shape:
    return {
        "kind": fault.kind.value,
        "code": fault.code,
        "name": (lookup(fault.code).name or None) if fault.kind.value == "xid" and fault.code else None,
        "severity": fault.severity.value,
        "host": fault.host or None,
        "device": fault.device or None,
        "uuid": fault.uuid or None,
        "count": fault.count,
        "first": fault.first or None,
        "last": fault.last or None,
        "line": fault.line,
        "process": fault.process or None,
        "says": fault.says or None,
        "recovery_action": fault.recovery or None,
        "nvlink_unit": fault.part or None,
        "nvlink": fault.link,
        "action": fault.action,
        "asks": asks_of(fault),
        "investigate": fault.investigate or None,
        "investigate_asks": asks(fault.investigate) if fault.investigate else None,
    }
