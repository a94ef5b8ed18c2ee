"""Judges what `dcgmi diag -j` printed: DCGM 2, 3 and 4, with whatever else stands around it. What can't be told is UNKNOWN."""

from __future__ import annotations

import re
from collections.abc import Mapping

from backends.diagnostics.dcgmi_report import Report, Result, begins, reports
from backends.diagnostics.reading import Reading, said_around
from fleet.health import Verdict
from fleet.text import clean

_NO_ENGINE = re.compile(
    r"unable to (?:establish a connection|connect)|host ?engine[^\n]{0,80}(?:not|invalid|disconnect)|Error:|error while loading",
    re.IGNORECASE,
)
_SHOWN = 3
_AGAIN = ", then a run that passes"
_ASKED: Mapping[int, str] = {
    2: "isolating the GPU: a repair or a replacement",
    6: "a reset of the GPU",
    4: "triage as NVIDIA describes it for this error",
    5: "the setting that it names being mended",
}
"""By severity, the gravest first, what DCGM asks for (NVIDIA DCGM, "Diagnostic Errors": isolate, reset, triage, config)."""


def read_diag(output: str, *, exit_code: int | None, gpus: int, cut: bool = False) -> Reading:
    """What a run of `dcgmi diag -j` came to on a node of so many GPUs.

    Fail fails whatever else there is. A pass needs whole reports, an exit with 0, a test that ran, and every GPU in each test
    that ran on any.
    """
    found = list(reports(output))
    whole = [report for report in found if report is not None]
    results = [result for report in whole for result in report.results]
    failed = [result for result in results if result.verdict is Verdict.FAIL]
    wants = f"every test to pass on {gpus} GPUs"
    if failed:
        return Reading(Verdict.FAIL, _named(failed, "Fail"), wants, _asks(failed))
    if not whole:
        return Reading(Verdict.UNKNOWN, _no_report(output, exit_code, cut=cut), wants, "a run that reports")
    if len(whole) < len(found):
        return Reading(Verdict.UNKNOWN, "one of its reports breaks off", wants, "a run that ends by itself")
    doubt = _doubt(whole, results, exit_code, gpus)
    if doubt is not None:
        return Reading(*doubt[:2], wants, doubt[2])
    warned = [result for result in results if result.verdict is Verdict.WARN]
    if warned:
        return Reading(Verdict.WARN, _named(warned, "Warn"), wants, "what DCGM warns of being mended")
    return Reading(Verdict.PASS, _summed(results), wants)


def _asks(failed: list[Result]) -> str:
    """What DCGM asks for by its gravest error."""
    severities = frozenset[int]().union(*(result.severities for result in failed))
    asked = next((text for number, text in _ASKED.items() if number in severities), "")
    return (asked or "what DCGM asks for (a reset, a repair)") + _AGAIN


def _doubt(
    reports: list[Report], results: list[Result], exit_code: int | None, gpus: int
) -> tuple[Verdict, str, str] | None:
    """Why a report without a failed test is no pass: verdict, value, what would clear it."""
    again = "a run that ends by itself"
    for report in reports:
        if report.error:
            return Verdict.UNKNOWN, report.error, "what keeps DCGM from running being mended"
    odd = [result for result in results if result.verdict is Verdict.UNKNOWN]
    if odd:
        return Verdict.UNKNOWN, _named(odd, "a result that is not known"), again
    if not any(result.verdict is not None for result in results):
        return Verdict.UNKNOWN, "no test was run: all were skipped", "a level whose tests apply here"
    seen = {result.gpu for result in results if result.gpu is not None and result.covers}
    listed = [report.listed for report in reports if report.listed is not None]
    found = frozenset[int]().union(*listed)
    if listed and len(found) < gpus:
        value = f"DCGM sees {len(found)} of {gpus} GPUs"
        return Verdict.FAIL, value, "a reset or a reboot for the GPU that is lost"
    if seen and len(seen) < gpus:
        lacking = sorted(found - seen)
        value = f"results of {len(seen)} of {gpus} GPUs" + (
            f", none of {', '.join(map(str, lacking[:8]))}" if lacking else ""
        )
        return Verdict.UNKNOWN, value, "a run that covers every GPU"
    short = _short(results, gpus)
    if short:
        return Verdict.UNKNOWN, short, "a run that covers every GPU"
    if not seen and not listed and gpus:
        return Verdict.UNKNOWN, "the report names no GPU", "a level that tests each GPU (2 or above)"
    if exit_code is None:
        return Verdict.UNKNOWN, "how it ended is not known", again
    if exit_code:
        return Verdict.UNKNOWN, f"its tests pass, but it exited with {exit_code}", again
    return None


def _short(results: list[Result], gpus: int) -> str:
    """The first test that ran on some of the GPUs and not on all; empty where there is none."""
    covered: dict[str, set[int]] = {}
    for result in results:
        if result.covers and result.gpu is not None:
            covered.setdefault(result.test, set()).add(result.gpu)
    return next(
        (f"{test}: on {len(on)} of {gpus} GPUs" for test, on in covered.items() if len(on) < gpus), ""
    )


def _named(results: list[Result], word: str) -> str:
    """The results in words, by test, each with the GPUs that it is of."""
    tests: dict[str, list[Result]] = {}
    for result in results:
        tests.setdefault(result.test, []).append(result)
    told = []
    for test, of_test in list(tests.items())[:_SHOWN]:
        gpus = sorted({result.gpu for result in of_test if result.gpu is not None})
        where = f" on GPU {', '.join(map(str, gpus))}" if gpus else ""
        says = next((result.says for result in of_test if result.says), "")
        told.append(f"{test}: {word}{where}" + (f": {says}" if says else ""))
    more = f"; and {len(tests) - _SHOWN} more tests" if len(tests) > _SHOWN else ""
    return clean("; ".join(told) + more, 400)


def _summed(results: list[Result]) -> str:
    ran = {result.test for result in results if result.verdict is not None}
    skipped = {result.test for result in results} - ran
    passed = "1 test passed" if len(ran) == 1 else f"{len(ran)} tests passed"
    return passed + (f", {len(skipped)} skipped" if skipped else "")


def _no_report(output: str, exit_code: int | None, *, cut: bool) -> str:
    """Why there is no report to read, as far as the text tells."""
    ended = "" if exit_code in (0, None) else f", exit {exit_code}"
    if begins(output):
        return f"its report breaks off{ended}"
    said = said_around(_NO_ENGINE, output, 120)
    if said:
        return clean(said, 200) + ended
    if cut:
        return "its output is longer than what is read"
    last = next((line for line in reversed(output[-2000:].splitlines()) if line.strip()), "")
    return (f"no report: {clean(last, 160)}" if last else "it printed nothing") + ended
