"""NVLink 5 messages: the sub-component and its registers say what to do, as far as they are there."""

from __future__ import annotations

import pytest

from fleet.nvlink5 import decode
from fleet.xid import Severity, asks
from tests.unit.nvlink5_rows import ROWS


@pytest.mark.parametrize(
    ("part", "word", "registers", "action", "severity"),
    [
        ("SAW_MVB", "Fatal", "0x1 0x2", "RESET_GPU", Severity.FAIL),
        ("SAW_MVB", "Nonfatal", "0x1 0x4", "IGNORE", Severity.INFO),
        ("SAW_MVB", "Nonfatal", "0x1 0x6", "RESET_GPU", Severity.FAIL),
        ("RLW_REMAP", "Nonfatal", "0x4 0x1", "XID_154_EVAL", Severity.FOLLOW),
        ("RLW_SRC_TRACK", "Nonfatal", "0x7 0x8", "XID_154_EVAL", Severity.FOLLOW),
        ("RLW_TAGSTATE", "Fatal", "0x8 0x100000", "RESET_GPU", Severity.FAIL),
        ("TLW_RX/TLW_RX_PIPE1", "Fatal", "0xb 0x4", "RESET_GPU", Severity.FAIL),
        ("TREX", "Nonfatal", "0xe 0x1", "IGNORE", Severity.INFO),
        ("NETIR_LINK_EVT", "Fatal", "0x02500011 0x0", "RESET_GPU", Severity.FAIL),
        ("NETIR_LINK_EVT/NETIR_LINK_DOWN", "Fatal", "0x02600011 0x0", "IGNORE", Severity.WARN),
        ("NETIR_BER_EVENT", "Nonfatal", "0x13 0x3", "IGNORE", Severity.INFO),
        ("NETIR_MFDE_EVENT", "Fatal", "0x14 0x5", "RESET_GPU", Severity.FAIL),
        ("NETIR_MFDE_EVENT", "Nonfatal", "0x14 0x3", "IGNORE", Severity.INFO),
        ("MSE_WATCHDOG", "Fatal", "0x0 0x0", "RESET_GPU", Severity.FAIL),
        ("SAW_MVB", "Nonfatal", "0x1 0x40000000", "", Severity.WARN),
        ("SAW_MVB", "Fatal", "0x1 0x40000000", "", Severity.FAIL),
        ("SAW_MVB", "Nonfatal", "0x1 0x0", "", Severity.WARN),
        ("NEW_UNIT", "Fatal", "0x1 0x1", "", Severity.FAIL),
    ],
)
def test_a_rule_of_the_catalogue_decides(
    part: str, word: str, registers: str, action: str, severity: Severity
) -> None:
    fault = decode(f"{part} {word} XC0 i0 Link 03 ({registers} 0x0 0x0)")
    assert fault is not None
    assert (fault.part, fault.link, fault.action, fault.severity) == (part, 3, action, severity)


@pytest.mark.parametrize(
    ("interrupt", "investigate"),
    [
        ("0x00000011", "SYMPATHETIC_REPORT_SOLO"),
        ("0x01000011", "INVESTIGATE_SW_USER_LINK_SI"),
        ("0x025525c6", "INVESTIGATE_PEER_DEVICE"),
        ("0x02b00011", "INVESTIGATE_LINK_SI_AND_CABLES"),
        ("0x03f00011", ""),
    ],
)
def test_the_reason_a_link_went_down_says_where_to_look(interrupt: str, investigate: str) -> None:
    fault = decode(f"NETIR_LINK_EVT  Fatal   XC0 i0 Link 09 ({interrupt} 0x00000000)")
    assert fault is not None
    assert fault.investigate == investigate


@pytest.mark.parametrize("message", ["", "Fatal", "something else entirely", "(0x1 0x2)"])
def test_a_message_that_names_no_unit_is_not_decoded(message: str) -> None:
    assert decode(message) is None


def test_a_message_without_registers_keeps_the_driver_s_own_word() -> None:
    fault = decode("RLW_SRC_TRACK Nonfatal XC1 i0")
    assert fault is not None
    assert (fault.link, fault.action, fault.severity) == (None, "", Severity.WARN)


RULES = [row.split() for row in ROWS.strip().splitlines()]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: " ".join(rule[1:5]))
def test_every_rule_of_the_catalogue_is_followed_by_either_driver_s_word_and_whatever_the_unit_is_called(
    rule: list[str],
) -> None:
    _, unit, before, since, status, action, investigate = rule
    unit = unit.replace("_Degraded", " Degraded")
    registers = 0 if status == "-" else int(status, 16)
    for interrupt in (before, since):
        for part in {unit, *unit.split("/")}:
            says = f"{part} Nonfatal XC0 i0 Link 03 (0x{int(interrupt, 16):08x} 0x{registers:08x} 0x0 0x0)"
            fault = decode(says)
            assert fault is not None, says
            assert (fault.action, fault.investigate) == (action, investigate), says
            assert asks(investigate) != asks("CONTACT_SUPPORT") or investigate == "CONTACT_SUPPORT"


def test_the_rules_are_all_there() -> None:
    assert len(RULES) == 95
    assert sum(rule[1] == "NETIR_LINK_EVT/NETIR_LINK_DOWN" for rule in RULES) == 21
    assert {rule[0] for rule in RULES} == {str(code) for code in range(144, 151)}


@pytest.mark.parametrize(
    ("interrupt", "status", "action"),
    [
        (0x86, 0x1, "RESET_GPU"),
        (0x4C2, 0x2, "RESET_GPU"),
        (0x86, 0x4, "RESET_GPU"),
        (0x06, 0x4, "IGNORE"),
        (0xC2, 0x4, "IGNORE"),
        (0x86, 0x8, "IGNORE"),
        (0x4C2, 0x8000_0000, "IGNORE"),
    ],
)
def test_a_receiver_that_was_reset_by_the_same_interrupt_asks_for_a_reset_of_the_gpu(
    interrupt: int, status: int, action: str
) -> None:
    fault = decode(f"RLW_RXPIPE Nonfatal XC0 i0 Link 03 (0x{interrupt:08x} 0x{status:08x} 0x0 0x0)")
    assert fault is not None
    assert fault.action == action


@pytest.mark.parametrize(
    ("status", "investigate"),
    [(0x3, "CONTACT_SUPPORT"), (0x304, "CHECK_NVLINK_FAILURE_FLOW"), (0x300, "IGNORE"), (0x4000_0000, "")],
)
def test_of_several_errors_the_one_that_asks_for_most_is_looked_into(status: int, investigate: str) -> None:
    fault = decode(f"RLW_REMAP Nonfatal XC0 i0 Link 03 (0x00000004 0x{status:08x} 0x0 0x0)")
    assert fault is not None
    assert fault.investigate == investigate
