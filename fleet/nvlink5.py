"""Decodes the NVLink 5 XIDs, 144 to 150, whose message carries the registers that decide what to do.

The rules are those of NVIDIA's Xid catalogue (sheet "Xid 144-150 Decode", 2026): by sub-component and error status, and for
a link that went down by the reason in bits 20 to 25 of the interrupt word, which lie there before and after driver R575. One
unit's action changes with one more bit of that word, which lies elsewhere since R575 (the sheet's "Decode for action 2").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.xid import Severity

CODES = range(144, 151)

_MESSAGE = re.compile(
    r"(?P<part>[A-Z][A-Za-z0-9_/]{1,40}(?: Degraded)?)\s+(?P<fatal>Fatal|Non-?fatal|Link Fatal)\b"
    r"(?:.{0,40}?\bLink (?P<link>-?\d{1,4}))?(?:\s*\((?P<registers>0x[0-9a-fA-F]{1,8}(?: 0x[0-9a-fA-F]{1,8})*)\)?)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class NvlinkFault:
    """What one message comes to. `action` is NVIDIA's bucket, empty where no rule of the catalogue fits."""

    part: str
    fatal: bool
    link: int | None = None
    action: str = ""
    investigate: str = ""

    @property
    def severity(self) -> Severity:
        """By the action; where no rule fits, by what the driver itself calls it. What it calls fatal is never mere news."""
        if self.action == "IGNORE" and self.fatal:
            return Severity.WARN
        return _SEVERITIES.get(self.action) or (Severity.FAIL if self.fatal else Severity.WARN)


_SEVERITIES = {"RESET_GPU": Severity.FAIL, "IGNORE": Severity.INFO, "XID_154_EVAL": Severity.FOLLOW}


@dataclass(frozen=True, slots=True)
class _Bits:
    """The bits of a sub-component's error status: those that ask for a reset, for what an XID 154 says, and for nothing.

    What is looked into later: nothing for the bits of `quiet`, whether a link went down for those of `flow`, else NVIDIA is asked.
    """

    reset: int = 0
    follow: int = 0
    ignore: int = 0
    quiet: int = 0
    flow: int = 0

    def action(self, status: int) -> str:
        if status & self.reset:
            return "RESET_GPU"
        if status & self.follow:
            return "XID_154_EVAL"
        return "IGNORE" if status and not status & ~self.ignore else ""

    def investigate(self, status: int) -> str:
        if status & (self.reset | self.follow | self.ignore) & ~(self.quiet | self.flow):
            return "CONTACT_SUPPORT"
        if status & self.flow:
            return "CHECK_NVLINK_FAILURE_FLOW"
        return "IGNORE" if status & self.quiet else ""


_TLW = _Bits(reset=0x4, ignore=0x8000_0003, quiet=0x1)
_STATUS: Mapping[str, _Bits] = {
    "SAW_MVB": _Bits(reset=0x12, ignore=0x2D, quiet=0x24),
    "RLW_CTRL": _Bits(ignore=0x8000_0000),
    "RLW_REMAP": _Bits(reset=0xC0, follow=0x3F, ignore=0x8000_0300, quiet=0x300, flow=0x3C),
    "RLW_RSPCOL": _Bits(reset=0x2, ignore=0x8000_0001, quiet=0x1),
    "RLW_RXPIPE": _Bits(ignore=0x8000_000F),
    "RLW_SRC_TRACK": _Bits(reset=0x31, follow=0xC, ignore=0x8000_0002, quiet=0xE),
    "RLW_TAGSTATE": _Bits(reset=0x12_0002, ignore=0x8001_0001, quiet=0x1_0001),
    "TLW_CTRL": _TLW,
    **dict.fromkeys(("TLW_RX", "TLW_RX_PIPE0", "TLW_RX_PIPE1"), _TLW),
    **dict.fromkeys(("TLW_TX", "TLW_TX_PIPE0", "TLW_TX_PIPE1"), _TLW),
    "TREX": _Bits(ignore=0x8000_0001),
    "NVLPW_CTRL": _Bits(ignore=0x8000_0000),
    "NVLPW": _Bits(ignore=0x8000_0000),
}
_RECEIVER, _RECEIVER_STATUS = "RLW_RXPIPE", 0x7
_RECEIVER_RESETS = ((0x7FF, 0x4C2), (0xFF, 0x86))
"""The receiver's interrupt with the bit that asks for a reset, before and from R575: the bits looked at, and what they are."""

_MODULE_EVENTS = {1: "RESET_GPU", 3: "IGNORE", 4: "RESET_GPU", 5: "RESET_GPU", 7: "RESET_GPU"}
_BIT_ERROR_EVENTS = range(4)

_DOWN_HARMLESS = frozenset({0b100110, 0b101000})
_DOWN_REASONS: Mapping[int, str] = {
    0b000000: "SYMPATHETIC_REPORT_SOLO",
    0b000001: "REPORT_ISSUE",
    **dict.fromkeys((0b000010, 0b000100, 0b001010), "INVESTIGATE_LINK_SI"),
    **dict.fromkeys((0b001111, 0b010001, 0b010110, 0b100110), "INVESTIGATE_SW_USER"),
    **dict.fromkeys((0b010000, 0b010010), "INVESTIGATE_SW_USER_LINK_SI"),
    **dict.fromkeys((0b010101, *range(0b100000, 0b100110)), "INVESTIGATE_PEER_DEVICE"),
    0b101000: "INVESTIGATE_HOST",
    **dict.fromkeys((0b101010, 0b101011), "INVESTIGATE_LINK_SI_AND_CABLES"),
}


def decode(message: str) -> NvlinkFault | None:
    """The fault in the text after the code, as far as it goes; None where it names no sub-component."""
    found = _MESSAGE.search(message)
    if found is None:
        return None
    part, link = found["part"], found["link"]
    registers = [int(word, 16) for word in (found["registers"] or "").split()]
    action, investigate = _ruled(part.upper(), registers)
    fatal = "non" not in found["fatal"].lower()
    return NvlinkFault(part, fatal, None if link is None else int(link), action, investigate)


def _ruled(part: str, registers: list[int]) -> tuple[str, str]:
    names = part.split("/")
    if part.startswith("MSE"):
        return "RESET_GPU", "CONTACT_SUPPORT"
    if "NETIR_INT" in names or part == "NETIR":
        return "RESET_GPU", "SYMPATHETIC_REPORT_SOLO"
    if len(registers) < 2:
        return "", ""
    interrupt, status = registers[0], registers[1]
    if names[0].startswith("NETIR_LINK"):
        reason = interrupt >> 20 & 0x3F
        action = "IGNORE" if reason in _DOWN_HARMLESS else "RESET_GPU"
        return (action, _DOWN_REASONS[reason]) if reason in _DOWN_REASONS else ("", "")
    if names[0] == "NETIR_BER_EVENT":
        return ("IGNORE", "INVESTIGATE_LINK_SI_AND_CABLES") if status in _BIT_ERROR_EVENTS else ("", "")
    if names[0] == "NETIR_MFDE_EVENT":
        action = _MODULE_EVENTS.get(status, "")
        return action, "CONTACT_SUPPORT" if action == "RESET_GPU" else action
    bits = _STATUS.get(names[0])
    if bits is None:
        return "", ""
    if names[0] == _RECEIVER and status & _RECEIVER_STATUS and _resets(interrupt):
        return "RESET_GPU", "CONTACT_SUPPORT"
    return bits.action(status), bits.investigate(status)


def _resets(interrupt: int) -> bool:
    return any(interrupt & looked_at == word for looked_at, word in _RECEIVER_RESETS)
