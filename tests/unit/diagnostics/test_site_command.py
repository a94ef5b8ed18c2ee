"""A site's own command: its exit decides, its last line tells, JSON may make it worse."""

from __future__ import annotations

import pytest

from backends.diagnostics.site_command import read_site
from fleet.health import Verdict


@pytest.mark.parametrize(
    ("exit_code", "verdict"),
    [
        (0, Verdict.PASS),
        (1, Verdict.FAIL),
        (2, Verdict.UNKNOWN),
        (137, Verdict.UNKNOWN),
        (None, Verdict.UNKNOWN),
    ],
)
def test_the_exit_decides(exit_code: int | None, verdict: Verdict) -> None:
    assert read_site("looked\nall links up\n\n", exit_code=exit_code).verdict is verdict


def test_the_last_line_tells_why() -> None:
    assert read_site("a\nlink 3 is down\n \n", exit_code=1).value == "link 3 is down"
    assert read_site("no such file\n", exit_code=2).value == "no such file (exit 2)"
    assert read_site("", exit_code=3).value == "exit 3"


def test_json_tells_value_threshold_and_what_clears() -> None:
    line = '{"verdict": "warn", "value": "7 links", "threshold": "8 links", "clears": "seat the cable"}'
    read = read_site(f"noise\n{line}\n", exit_code=0)
    assert (read.verdict, read.value, read.threshold, read.clears) == (
        Verdict.WARN,
        "7 links",
        "8 links",
        "seat the cable",
    )


@pytest.mark.parametrize(
    ("line", "exit_code", "verdict"),
    [
        ('{"verdict": "PASS"}', 1, Verdict.FAIL),
        ('{"verdict": "PASS"}', 2, Verdict.UNKNOWN),
        ('{"verdict": "FAIL"}', 0, Verdict.FAIL),
        ('{"verdict": "fine"}', 0, Verdict.UNKNOWN),
        ('{"verdict": null}', 0, Verdict.UNKNOWN),
        ('{"value": 3}', 0, Verdict.PASS),
        ('{"verdict": "PASS"', 0, Verdict.UNKNOWN),
        ('{"verdict": "FAIL", "value": "' + "x" * 20_000 + '"}', 0, Verdict.UNKNOWN),
        ('{"verdict": "FAIL"', 1, Verdict.FAIL),
    ],
)
def test_json_never_makes_it_better(line: str, exit_code: int, verdict: Verdict) -> None:
    assert read_site(line, exit_code=exit_code).verdict is verdict


def test_hostile_output_is_cleaned_and_bounded() -> None:
    read = read_site("x" * 100_000 + "\n\x1b[31m" + "[bold]" * 40_000, exit_code=1)
    assert len(read.value) <= 300
    assert read.value.isprintable()
