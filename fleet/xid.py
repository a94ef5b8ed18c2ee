"""What NVIDIA's XID codes are called, what they ask for, what others make of them, and how hard a gate should take them.

The catalogues of fleets disagree, so our severity is a default: `Policy.xid_severity` of the site wins over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache

from fleet.xid_catalogue import ELSEWHERE, ELSEWHERE_IGNORED, ROWS


class Severity(Enum):
    """How hard a gate should take a code, lightest first."""

    INFO = "info"  # show only
    WARN = "warn"  # keep the node, count it
    FOLLOW = "follow"  # the driver names the recovery itself
    DECODE = "decode"  # the message's registers decide
    FAIL = "FAIL"  # do not accept the node


SITE_SEVERITIES = (Severity.INFO, Severity.WARN, Severity.FAIL)
"""What a site's policy may say of a code: those that leave nothing to be found out."""


@dataclass(frozen=True, slots=True)
class View:
    """What one catalogue says of a code, in its own word, and what that comes to."""

    catalogue: str
    says: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Xid:
    """One code. `action` and `investigate` are NVIDIA's immediate and investigatory buckets ("" where it has none); `asks`
    and `then` say them in words; `name` is empty where the code is unlisted; `families` are those it applies to.
    """

    code: int
    name: str
    action: str
    severity: Severity
    investigate: str = ""
    families: tuple[str, ...] = ()
    views: tuple[View, ...] = ()
    gpud_repair: str = ""
    listed: bool = True

    @property
    def asks(self) -> str:
        return asks(self.action)

    @property
    def then(self) -> str:
        return asks(self.investigate) if self.investigate else ""

    @property
    def label(self) -> str:
        return f"XID {self.code} ({self.name})" if self.name else f"XID {self.code}"

    def disagreeing(self, severity: Severity) -> tuple[View, ...]:
        """The catalogues that take the code harder or lighter than `severity`."""
        return tuple(view for view in self.views if view.severity is not severity)


def asks(bucket: str) -> str:
    """What an action of NVIDIA's catalogue asks for, in words; one we do not know asks for NVIDIA's support."""
    return _ASKS.get(bucket, _ASKS["CONTACT_SUPPORT"])


_ASKS = {
    "CONTACT_SUPPORT": "ask NVIDIA support",
    "RESTART_APP": "restart the application",
    "IGNORE": "nothing",
    "RESET_GPU": "reset the GPU",
    "RESTART_BM": "restart the machine",
    "RESTART_VM": "restart the virtual machine",
    "CHECK_MECHANICALS": "check seating and power cables",
    "UPDATE_SWFW": "update driver and firmware",
    "CHECK_UVM": "reset the GPU if unified memory or vGPU is in use",
    "XID_154": "do what the recovery action in the kernel log says",
    "XID_154_EVAL": "do what an XID 154 beside it says; without one restart the application",
    "WORKFLOW_XID_13": "the same TPC and GPC again: run the DCGM EUD; else look at the application",
    "WORKFLOW_XID_31": "the same GPU again: run the DCGM EUD; else look at the application",
    "WORKFLOW_XID_45": "look at the XID before it; alone, restart the fabric manager",
    "WORKFLOW_XID_48": "reset the GPU; with 63 or 64, drain first",
    "WORKFLOW_NVLINK_ERR": "decode the NVLink registers; check both ends of the link",
    "WORKFLOW_NVLINK5_ERR": "decode the NVLink 5 status in the kernel log",
    "CHECK_APP/CUDA": "look at the application and its use of CUDA",
    "CHECK_NVLINK_FAILURE_FLOW": "see whether a link of the partition went down in the 30 s before; else report it to NVIDIA",
    "IGNORE_SYMPATHETIC": "see to the error that came with it; alone, report it to NVIDIA",
    "SYMPATHETIC_REPORT_SOLO": "see to the error that came with it; alone, report it to NVIDIA",
    "REPORT_ISSUE": "report it to NVIDIA if it comes more than once a day",
    "INFORMATIONAL": "see to the XID that it tells of",
    "INVESTIGATE_SW": "look for the software that did it; a pid in the log names it",
    "INVESTIGATE_SW_USER": "find which software or person took the link down, if that was not meant",
    "INVESTIGATE_SW_USER_LINK_SI": "find who took the link down, then look at its signal integrity",
    "INVESTIGATE_LINK_SI": "look at the link's signal integrity",
    "INVESTIGATE_LINK_SI_AND_CABLES": "look at cable, seating, transceiver and temperature of the link",
    "INVESTIGATE_PEER_DEVICE": "look at the device at the other end of the link",
    "INVESTIGATE_HOST": "look for what the host did in the other logs",
    "XID_137_FLOW": "an illegal peer access, mostly by an application: run it under a memory checker",
    "NONE": "no action published yet",
}

_LISTS: tuple[tuple[str, Mapping[str, tuple[str, Severity]]], ...] = (
    ("gpud", {"F": ("Fatal", Severity.FAIL), "W": ("Warning", Severity.WARN), "I": ("Info", Severity.INFO)}),
    ("Azure NHC", {"f": ("fatal", Severity.FAIL)}),
    ("Azure healthagent", {"e": ("error", Severity.FAIL), "w": ("warn", Severity.WARN)}),
    ("Meta GCM", {"C": ("critical", Severity.FAIL), "w": ("warn", Severity.WARN)}),
    ("imbue", {"h": ("hardware", Severity.FAIL)}),
    ("Crusoe", {"U": ("Unhealthy", Severity.FAIL), "D": ("Degraded", Severity.FAIL)}),
    ("k8s device plugin", {"i": ("ignored", Severity.INFO)}),
)
_FAMILIES = {"H": "H100", "G": "GB200"}


def _read(row: str) -> Xid:
    code, name, families, action, investigate, level, letters, repair = row.split()
    views = tuple(
        View(catalogue, *words[letter])
        for (catalogue, words), letter in zip(_LISTS, letters, strict=True)
        if letter != "-"
    )
    return Xid(
        code=int(code),
        name=name,
        action=action,
        severity=Severity[level],
        investigate="" if investigate == "-" else investigate,
        families=tuple(_FAMILIES[letter] for letter in families if letter != "-"),
        views=views,
        gpud_repair="" if repair == "-" else repair,
    )


@cache
def catalogue() -> Mapping[int, Xid]:
    """Every code that NVIDIA lists, 1 to 172."""
    listed = {xid.code: xid for xid in map(_read, filter(None, ROWS.splitlines()))}
    for code in ELSEWHERE:
        ignored = code in ELSEWHERE_IGNORED
        listed[code] = Xid(
            code,
            "",
            "IGNORE" if ignored else "CONTACT_SUPPORT",
            Severity.INFO if ignored else Severity.WARN,
        )
    return listed


def lookup(code: int) -> Xid:
    """What is known of a code. One that no catalogue lists is a warning without a name, never an error."""
    return catalogue().get(code) or Xid(code, "", "CONTACT_SUPPORT", Severity.WARN, listed=False)


SeverityOf = Callable[[int], Severity]
"""How hard a code is taken: `Policy.severity_of_xid`, or the catalogue's default."""


def default_severity(code: int) -> Severity:
    """How hard a code is taken where no policy says otherwise."""
    return lookup(code).severity


def worst(codes: Iterable[int], severity_of: SeverityOf = default_severity) -> int | None:
    """The code to show of several: the hardest by severity, then the highest; 0 where none is set, None of no codes."""
    severities = tuple(Severity)
    return max(
        codes,
        key=lambda code: (code != 0, severities.index(severity_of(code)) if code else 0, code),
        default=None,
    )


def shown_since(
    code: int, shown: Iterable[tuple[int, datetime | None]], severity_of: SeverityOf = default_severity
) -> datetime | None:
    """When the last of several GPUs turned to `code`, of the codes that each shows and since when.

    None where that of one of them is not known, and where another shows as hard a code since later: who asks how old the fault
    of a node is must not be told of the older one.
    """
    hard = severity_of(code)
    alike = [(other, at) for other, at in shown if severity_of(other) is hard]
    times = [at for _, at in alike if at is not None]
    own = [at for other, at in alike if other == code and at is not None]
    if not own or len(times) < len(alike) or max(times) > max(own):
        return None
    return max(own)
