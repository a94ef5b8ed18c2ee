"""An answer of doctor's: in lines that fit a terminal, or a line an item for a script; what is listed stays out of the JSON."""

from __future__ import annotations

import pytest

from fleet.telemetry import GpuTelemetry
from tui.headless.examined import Examined, lines_of, shape_of
from tui.headless.metrics import columns_of

DEFAULT = GpuTelemetry(
    "0", util=5, temp=40, power_watts=90, fb_used_mib=1, fb_total_mib=2, xid=0, driver="570"
)
EXPORTED = columns_of([[DEFAULT], [DEFAULT], [GpuTelemetry("0", util=5, sm_active=0.5)]])


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_what_is_not_exported_fits_the_terminal_a_column_a_line(width: int) -> None:
    lines = list(lines_of(EXPORTED, width))
    assert all(len(line) <= width for line in lines)
    assert len(lines) > 30
    assert "       SM active (DCGM_FI_PROF_SM_ACTIVE) by 1 of 3" in lines


def test_what_nobody_exports_comes_first_with_what_it_would_give() -> None:
    lines = list(lines_of(EXPORTED, 120))
    assert lines[0] == (
        "ok   metrics exported: of 31 columns 1 by every node of 3 looked at, 7 by some, 23 by none"
    )
    assert lines[1] == "     heat, power and clocks, told by none:"
    assert "       uncorrected ECC errors (DCGM_FI_DEV_ECC_DBE_VOL_TOTAL), for check ecc-dbe" in lines
    assert lines.index("     links, told by none:") < lines.index("     told by some nodes alone:")


def test_a_script_gets_a_line_an_item_however_long() -> None:
    lines = list(lines_of(Examined("nodes", False, "word " * 60, "mend it"), None))
    assert len(lines) == 1
    assert lines[0].endswith("-> mend it")
    wrapped = list(lines_of(Examined("nodes", None, "word " * 60), 80))
    assert len(wrapped) > 3
    assert all(len(line) <= 80 for line in wrapped)


def test_a_script_is_told_the_same_as_facts() -> None:
    shape = shape_of(EXPORTED)
    assert "listed" not in shape
    facts = shape["facts"]
    assert isinstance(facts, dict)
    assert {"column": "SM active", "metrics": ("DCGM_FI_PROF_SM_ACTIVE",)} not in facts["not_exported"]
    assert {
        "column": "uncorrected ECC errors",
        "metrics": ["DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"],
        "check": "ecc-dbe",
    } in facts["not_exported"]


def test_words_from_outside_are_made_fit_to_print() -> None:
    hostile = "\x1b]0;x\x07" + "a" * 5_000
    for line in lines_of(Examined("nodes", None, hostile, hostile, listed=[(hostile, [hostile])]), 80):
        assert "\x1b" not in line
