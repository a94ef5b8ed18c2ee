"""The XID catalogue: what a code is called, and which of several to show."""

from __future__ import annotations

import pytest

from fleet.policy import DEFAULT_FORBIDDEN_XIDS, Policy
from fleet.xid import Severity, Xid, asks, catalogue, lookup, worst
from tests.unit import xid_rows


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


UNPUBLISHED = range(162, 173)
"""Codes that NVIDIA lists without saying what to do."""


@pytest.mark.parametrize(
    "xid", [xid for xid in catalogue().values() if xid.views], ids=lambda xid: str(xid.code)
)
def test_every_code_that_is_described_has_a_name_and_what_to_do_now_and_then(xid: Xid) -> None:
    assert xid.name
    assert xid.action
    assert xid.then or not xid.families or xid.code in UNPUBLISHED or xid.action == "CONTACT_SUPPORT"


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


def test_every_code_up_to_172_is_listed_and_127_of_them_are_described() -> None:
    assert sorted(catalogue()) == list(range(1, 173))
    assert sum(bool(xid.views) for xid in catalogue().values()) == 127


@pytest.mark.parametrize("xid", catalogue().values(), ids=lambda xid: str(xid.code))
def test_every_action_of_the_catalogue_has_words_of_its_own(xid: Xid) -> None:
    for bucket in filter(None, (xid.action, xid.investigate)):
        assert bucket == "CONTACT_SUPPORT" or asks(bucket) != asks("CONTACT_SUPPORT")


def test_an_action_nobody_knows_asks_for_support() -> None:
    assert asks("DANCE") == asks("CONTACT_SUPPORT")


def test_what_other_catalogues_say_is_kept_beside_ours() -> None:
    contained = lookup(94)
    assert [(view.catalogue, view.says) for view in contained.views] == [
        ("gpud", "Fatal"),
        ("Azure healthagent", "warn"),
        ("Meta GCM", "critical"),
        ("imbue", "hardware"),
    ]
    assert (contained.gpud_repair, contained.families) == ("REBOOT>IGNORE", ("H100", "GB200"))
    assert contained.then == "see to the error that came with it; alone, report it to NVIDIA"
    disagreeing = [view.catalogue for view in contained.disagreeing(contained.severity)]
    assert disagreeing == ["gpud", "Meta GCM", "imbue"]


def test_an_application_error_is_ignored_by_the_device_plugin_alone() -> None:
    assert [view.says for view in lookup(31).views if view.severity is Severity.INFO] == ["ignored"]


@pytest.mark.parametrize(("code", "listed"), [(16, True), (152, True), (173, False), (0, False)])
def test_a_code_that_does_not_apply_is_listed_without_a_name(code: int, listed: bool) -> None:
    assert (lookup(code).name, lookup(code).listed, lookup(code).families) == ("", listed, ())


def test_the_site_s_severity_wins_over_the_catalogue_s() -> None:
    policy = Policy(xid_severity={94: Severity.FAIL, 79: Severity.WARN, 999: Severity.FAIL})
    assert policy.forbidden_xids == DEFAULT_FORBIDDEN_XIDS - {79} | {94, 999}
    assert [policy.severity_of_xid(code) for code in (94, 79, 13)] == [
        Severity.FAIL,
        Severity.WARN,
        Severity.WARN,
    ]


def test_the_hardest_of_several_codes_is_the_site_s_hardest() -> None:
    policy = Policy(xid_severity={13: Severity.FAIL, 79: Severity.INFO})
    assert worst([13, 31, 79], policy.severity_of_xid) == 13


def by_code(said: dict[str, str]) -> dict[int, list[str]]:
    """What is said of each code, from codes (`8 11 31-32`) by what is said."""
    found: dict[int, list[str]] = {}
    for word, codes in said.items():
        for span in codes.split():
            first, _, last = span.partition("-")
            for code in range(int(first), int(last or first) + 1):
                found.setdefault(code, []).append(word)
    return found


NAMED = dict(zip(map(int, xid_rows.NAMES.split()[::2]), xid_rows.NAMES.split()[1::2], strict=True))
AT_ONCE, THEN, SEVERITY, FAMILIES, ELSEWHERE, REPAIR = map(
    by_code,
    (
        *(xid_rows.AT_ONCE, xid_rows.THEN, xid_rows.SEVERITY),
        *(xid_rows.FAMILIES, xid_rows.ELSEWHERE, xid_rows.GPUD_REPAIR),
    ),
)


@pytest.mark.parametrize("code", range(1, 173))
def test_every_code_is_as_it_was_published(code: int) -> None:
    xid = lookup(code)
    assert [xid.action] == AT_ONCE[code]
    assert xid.name == NAMED.get(code, "")
    assert [*filter(None, [xid.investigate])] == THEN.get(code, [])
    assert list(xid.families) == FAMILIES.get(code, [])
    assert {f"{view.catalogue}: {view.says}" for view in xid.views} == {*ELSEWHERE.get(code, [])}
    assert [*filter(None, [xid.gpud_repair])] == REPAIR.get(code, [])
    if code in NAMED:
        assert [xid.severity.value] == SEVERITY[code]
    else:
        assert xid.severity in (Severity.INFO, Severity.WARN)


def test_what_was_published_is_of_127_codes() -> None:
    assert len(NAMED) == len(SEVERITY) == 127
