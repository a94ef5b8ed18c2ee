"""The XID catalogue: what a code is called, and which of several to show."""

from __future__ import annotations

import pytest

from fleet.policy import DEFAULT_FORBIDDEN_XIDS
from fleet.xid import Severity, lookup, worst


def test_a_gpu_that_fell_off_the_bus_asks_for_a_reboot() -> None:
    fallen = lookup(79)
    assert fallen.name == "RC_GPU_HAS_FALLEN_OFF_THE_BUS"
    assert (fallen.action, fallen.severity) == ("RESTART_BM", Severity.FAIL)
    assert fallen.asks == "restart the machine"
    assert fallen.label == "XID 79 (RC_GPU_HAS_FALLEN_OFF_THE_BUS)"


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        (13, Severity.WARN),
        (43, Severity.INFO),
        (63, Severity.INFO),
        (94, Severity.WARN),
        (149, Severity.DECODE),
        (154, Severity.FOLLOW),
    ],
)
def test_a_code_has_its_suggested_severity(code: int, severity: Severity) -> None:
    assert lookup(code).severity is severity


@pytest.mark.parametrize("code", [0, 1, 65_535, -3])
def test_a_code_that_no_catalogue_lists_is_a_warning_without_a_name(code: int) -> None:
    unlisted = lookup(code)
    assert (unlisted.code, unlisted.name, unlisted.severity) == (code, "", Severity.WARN)
    assert unlisted.label == f"XID {code}"


@pytest.mark.parametrize("code", sorted(DEFAULT_FORBIDDEN_XIDS))
def test_every_code_forbidden_by_default_is_one_that_the_catalogue_fails(code: int) -> None:
    assert lookup(code).severity is Severity.FAIL


@pytest.mark.parametrize("code", range(1, 180))
def test_every_code_says_what_is_asked(code: int) -> None:
    assert lookup(code).asks


@pytest.mark.parametrize(
    ("codes", "shown"),
    [
        ([], None),
        ([0, 0], 0),
        ([0, 13], 13),
        ([79, 154, 13], 79),
        ([94, 13], 94),
        ([999, 43], 999),
    ],
)
def test_the_hardest_of_several_codes_is_shown(codes: list[int], shown: int | None) -> None:
    assert worst(codes) == shown
