"""Finds GPU faults in kernel log lines: XIDs, NVSwitch SXids, and GPUs that fell off the bus without a word of either.

Pure, and it keeps little: lines come one by one, in any of the forms that dmesg, journald and syslog give them, and faults that
are the same come together as one with a count, so that a log of any size needs no more than its different faults do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from fleet import journald, nvlink5
from fleet.policy import Policy
from fleet.text import clean
from fleet.xid import Severity, asks, lookup

RECOVERY_ACTION = 154
FALLEN_OFF = 79

LINE_LIMIT = 4096
"""What is read of one line, from its first word of a fault on where it is longer; a kernel line is at most 1 KiB."""


FAULTS_LIMIT = 10_000
"""Different faults that are kept; what comes after them is counted only."""

_MESSAGE_LIMIT = 300
_TEXT_LIMIT = 80
_CONTINUES_WITHIN = 3


class Kind(Enum):
    """What a fault was called in the log."""

    XID = "xid"
    SXID = "sxid"
    LOST = "lost"  # a GPU that does not answer, said without an XID


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one device, as often as it came. `device` is `domain:bus:device` in hexadecimal, empty where the line had none.

    `first` and `last` are the log's own times as it wrote them; `says` the first message; `process` the name and pid it
    named; `recovery` the recovery action of an XID 154, and `part` the NVLink 5 unit, where they were there; `investigate` NVIDIA's
    action for later, empty where it has none.
    """

    kind: Kind
    code: int | None
    device: str
    severity: Severity
    action: str
    host: str = ""
    uuid: str = ""
    count: int = 1
    line: int = 0
    first: str = ""
    last: str = ""
    process: str = ""
    says: str = ""
    recovery: str = ""
    investigate: str = ""
    part: str = ""
    link: int | None = None

    @property
    def label(self) -> str:
        if self.kind is Kind.LOST or self.code is None:
            return "GPU lost, without an XID"
        if self.kind is Kind.SXID:
            return f"SXid {self.code}"
        return lookup(self.code).label


@dataclass(frozen=True, slots=True)
class Digest:
    """What a log had: faults, the hardest first; lines read; lines that begin an XID nobody can read; faults beyond the limit.

    Of the unreadable lines the first has its number, and in `unreadable_says` its text.
    """

    faults: tuple[Fault, ...]
    lines: int
    unreadable: int = 0
    first_unreadable: int = 0
    unreadable_says: str = ""
    beyond: int = 0

    @property
    def worst(self) -> Severity | None:
        return self.faults[0].severity if self.faults else None


_PCI = r"(?:PCI:)?\s*(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.[0-7])?"
_DEVICE = re.compile(rf"{_PCI}(?:\s+GPU-I:\d{{1,3}})?\s*\Z")  # the instance of a MIG GPU stands behind it
_NAMED = re.compile(r"(?:UUID:\s*)?(GPU-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\s*\Z")
_XID = re.compile(r"\bNVRM:\s*Xid\s*(?:\(([^)]{0,80})\)\s*)?:\s*([^\s,(]{1,20})(.*)", re.IGNORECASE)
_SXID = re.compile(
    r"\bnvidia-nvswitch\S{0,20}\s*SXid\s*(?:\(([^)]{0,80})\)\s*)?:\s*([^\s,(]{1,20})(.*)", re.IGNORECASE
)
_BEGINS = re.compile(r"\bNVRM:\s*Xid\b|\bnvidia-nvswitch\S{0,20}\s*SXid\b", re.IGNORECASE)
_UUID = re.compile(rf"\bNVRM:\s*GPU at {_PCI}:\s*(GPU-[0-9a-fA-F-]{{36}})")
_LOST_STARTS = re.compile(rf"\bNVRM:\s*(?:The NVIDIA GPU|GPU(?: at)?)\s+{_PCI}(?=[\s:]|\Z)(.*)")
_LOST_SAYS = re.compile(r"fallen off the bus", re.IGNORECASE)
_SWITCH_MORE = re.compile(r",?\s*(?:Severity \d|Data \{)")
_RECOVERY = re.compile(
    r"recovery action changed from .{0,60}? to (0x[0-9a-fA-F]{1,4}|\d{1,3})\s*(?:\(([^)]{0,60})\))?"
)
_PROCESS = re.compile(r",?\s*pid=('?<unknown>'?|\d{1,10})?")
_NAME = re.compile(r",?\s*name=(.{0,24}?)(?=, (?:[A-Z]|errorString)|,?\s*\Z)")
_WHEN = (
    re.compile(r"\[\s*([A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4})\]"),
    re.compile(r"\A(?:<\d{1,3}>)?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"),
    re.compile(r"\A(?:<\d{1,3}>)?([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)"),
    re.compile(r"\[\s*(\d{1,12}\.\d{1,9})\]"),
    re.compile(r"\A\d{1,4},\d{1,20},(\d{1,20}),"),
)
_HOST = re.compile(
    r"\A(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S{8,40}|-) (\S{1,80}) kernel:"
)

_ACTIONS_154 = {
    0: ("none", Severity.INFO, "IGNORE"),
    1: ("GPU reset", Severity.FAIL, "RESET_GPU"),
    2: ("node reboot", Severity.FAIL, "RESTART_BM"),
    3: ("drain P2P", Severity.WARN, "XID_154"),
    4: ("drain and reset", Severity.FAIL, "RESET_GPU"),
    5: ("IMEX domain recovery", Severity.FAIL, "XID_154"),
    6: ("bus reset", Severity.FAIL, "XID_154"),
    7: ("system reboot", Severity.FAIL, "RESTART_BM"),
}
"""NVML's GPU recovery actions (nvml.h, nvmlDeviceGpuRecoveryAction_t)."""


class LogReader:
    """Takes lines in and gathers their faults. `policy` says how hard each code is taken."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._faults: dict[tuple[object, ...], Fault] = {}
        self._uuids: dict[tuple[str, str], str] = {}
        self._lines = 0
        self._unreadable = 0
        self._first_unreadable = 0
        self._unreadable_says = ""
        self._beyond = 0
        self._starts: tuple[int, str, str, str] | None = (
            None  # line, host, device, when: a loss told over several lines
        )

    def read(self, lines: Iterable[bytes]) -> Digest:
        """Everything in `lines`, which may hold any bytes. A line is read up to LINE_LIMIT."""
        for line in lines:
            self.add(line)
        return self.digest()

    def add(self, line: bytes) -> None:
        self._lines += 1
        if b"NVRM" not in line and b"SXid" not in line and not journald.hides_its_message(line):
            return
        text = _text(line)
        if (found := _XID.search(text)) or (found := _SXID.search(text)):
            self._coded(text, found, Kind.SXID if found.re is _SXID else Kind.XID)
        elif _BEGINS.search(text):
            self._not_readable(text)
        elif found := _UUID.search(text):
            self._uuids[_host(text), _joined(*found.groups()[:3])] = found[4]
        else:
            self._perhaps_lost(text)

    def digest(self) -> Digest:
        """What was found up to now. A loss that an XID 79 of the same device also told is not told twice."""
        fallen = {(fault.host, fault.device) for fault in self._faults.values() if fault.code == FALLEN_OFF}
        kept = [
            replace(fault, uuid=fault.uuid or self._uuids.get((fault.host, fault.device), ""))
            for fault in self._faults.values()
            if fault.kind is not Kind.LOST or (fault.host, fault.device) not in fallen
        ]
        order = tuple(Severity)
        kept.sort(key=lambda fault: (-order.index(fault.severity), fault.line))
        unreadable = self._unreadable, self._first_unreadable, self._unreadable_says
        return Digest(tuple(kept), self._lines, *unreadable, self._beyond)

    def _not_readable(self, text: str) -> None:
        self._unreadable += 1
        if self._unreadable == 1:
            self._first_unreadable, self._unreadable_says = self._lines, clean(text, _MESSAGE_LIMIT)

    def _coded(self, text: str, found: re.Match[str], kind: Kind) -> None:
        device, uuid = _device(found[1] or ""), _uuid(found[1] or "")
        word, rest = found[2].rstrip(":."), found[3]
        if not (word.isascii() and word.isdecimal() and len(word) <= 6):
            self._not_readable(text)
            return
        if kind is Kind.SXID:
            self._switch_fault(text, device, int(word), rest)
            return
        process, says = _process(rest)
        fault = self._judged(int(word), says)
        self._keep(replace(fault, device=device, uuid=uuid, process=process), text)

    def _judged(self, code: int, says: str) -> Fault:
        """A code with what its message adds: the recovery action of a 154, the registers of 144 to 150. The site's word wins."""
        known = lookup(code)
        said = clean(says, _MESSAGE_LIMIT)
        fault = Fault(
            Kind.XID, code, "", known.severity, known.action, says=said, investigate=known.investigate
        )
        if code == RECOVERY_ACTION and (found := _RECOVERY.search(says)):
            number = int(found[1], 16 if found[1].startswith("0x") else 10)
            name, severity, action = _ACTIONS_154.get(
                number, (found[2] or found[1], Severity.FOLLOW, "XID_154")
            )
            fault = replace(fault, recovery=name, severity=severity, action=action)
        elif code in nvlink5.CODES and (unit := nvlink5.decode(says)):
            fault = replace(
                fault,
                part=unit.part,
                link=unit.link,
                severity=unit.severity,
                action=unit.action or known.action,
                investigate=unit.investigate or known.investigate,
            )
        named = self._policy.xid_severity.get(code)
        return replace(fault, severity=named) if named else fault

    def _switch_fault(self, text: str, device: str, code: int, rest: str) -> None:
        if _SWITCH_MORE.match(rest):
            return  # the second and third line of one fault
        fatal = re.match(r",?\s*(?:Always )?Fatal\b", rest, re.IGNORECASE)
        severity = Severity.FAIL if fatal else Severity.WARN
        says = clean(rest.lstrip(", "), _MESSAGE_LIMIT)
        self._keep(Fault(Kind.SXID, code, device, severity, "SXID", says=says), text)

    def _perhaps_lost(self, text: str) -> None:
        """A GPU that fell off the bus, said on one line or on three of which the last have no time of their own."""
        found = _LOST_STARTS.search(text)
        if found is not None:
            device = _joined(*found.groups()[:3])
            self._starts = self._lines, _host(text), device, _when(text)
        if self._starts is None or not _LOST_SAYS.search(text):
            return
        line, host, device, when = self._starts
        self._starts = None
        if self._lines - line < _CONTINUES_WITHIN:
            says = "fallen off the bus and is not responding to commands"
            known = lookup(FALLEN_OFF)
            severity = self._policy.severity_of_xid(FALLEN_OFF)
            fault = Fault(
                Kind.LOST, None, device, severity, known.action, host, says=says, first=when, last=when
            )
            self._keep(fault, "")

    def _keep(self, fault: Fault, text: str) -> None:
        host, when = fault.host or _host(text), _when(text) or fault.first
        key = (
            fault.kind,
            fault.code,
            host,
            fault.device or fault.uuid,
            fault.recovery,
            fault.part,
            fault.link,
            fault.severity,
        )
        kept = self._faults.get(key)
        if kept is not None:
            self._faults[key] = replace(kept, count=kept.count + 1, last=when or kept.last)
        elif len(self._faults) < FAULTS_LIMIT:
            self._faults[key] = replace(fault, host=host, line=self._lines, first=when, last=when)
        else:
            self._beyond += 1


def asks_of(fault: Fault) -> str:
    """What the fault asks for, in words."""
    if fault.kind is Kind.SXID:
        fatal = fault.severity is Severity.FAIL
        return "see the fabric manager's log; restart the partition's machines" if fatal else "watch the link"
    return asks(fault.action)


def _text(line: bytes) -> str:
    """The line as text, no more than LINE_LIMIT of it: its beginning, or what follows the first word of a fault far along it."""
    if (told := journald.printed(line)) is not None:
        return clean(told, LINE_LIMIT)
    starts = [at for word in (b"NVRM", b"nvidia-nvswitch") if (at := line.find(word)) >= 0]
    first = min(starts, default=0)
    start = first if first > LINE_LIMIT // 2 else 0
    return clean(line[start : start + LINE_LIMIT].decode("utf-8", "replace"), LINE_LIMIT)


def _device(text: str) -> str:
    found = _DEVICE.match(text.strip())
    return _joined(*found.groups()) if found else ""


def _uuid(text: str) -> str:
    found = _NAMED.match(text.strip())
    return found[1] if found else ""


def _joined(domain: str | None, bus: str, device: str) -> str:
    return f"{int(domain or '0', 16):04x}:{bus.lower()}:{device.lower()}"


def _host(text: str) -> str:
    found = _HOST.match(text)
    return found[1] if found else ""


def _when(text: str) -> str:
    return next((found[1] for pattern in _WHEN if (found := pattern.search(text))), "")


def _process(rest: str) -> tuple[str, str]:
    """`name (pid n)` of the process that the line names, as far as it does, and the message after it."""
    pid = name = ""
    at = 0
    if found := _PROCESS.match(rest):
        pid = (found[1] or "").strip("'")
        at = found.end()
    if found := _NAME.match(rest, at):
        name = found[1].strip("'")
        at = found.end()
    pid, name = ("" if word == "<unknown>" else word for word in (pid, name))
    process = f"{name} (pid {pid})" if name and pid else name or (f"pid {pid}" if pid else "")
    return clean(process, _TEXT_LIMIT), rest[at:].strip(" ,.")
