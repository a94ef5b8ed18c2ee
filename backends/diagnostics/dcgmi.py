"""Reads what `dcgmi diag -j` printed: DCGM 2, 3 and 4, with whatever else stands around it. What can't be told is UNKNOWN.

The shapes are those of DCGM's own documentation ("DCGM Diagnostics", 2.4, 3.3 and 4.2) and of outputs met in the field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backends.diagnostics.reading import Reading
from fleet.health import Verdict
from fleet.text import clean

_START = re.compile(r'\{\s*"DCGM[^"\n]{0,40}"\s*:')
_WORDS = {
    "pass": Verdict.PASS,
    "passed": Verdict.PASS,
    "warn": Verdict.WARN,
    "warning": Verdict.WARN,
    "fail": Verdict.FAIL,
    "failed": Verdict.FAIL,
}
_NOT_RUN = ("skip", "skipped", "not run", "notrun", "")
_RUNTIME = ("runtime_error", "error", "errors")
_NO_ENGINE = re.compile(
    r"(unable to (?:establish a connection|connect)[^\n]{0,120}|host ?engine[^\n]{0,80}(?:not|invalid|disconnect)[^\n]{0,60}"
    r"|[^\n]{0,60}(?:Error:|error while loading)[^\n]{0,120})",
    re.IGNORECASE,
)
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Result:
    """One test's result: of one GPU, or of the whole node where `gpu` is None. `verdict` None is a test that was not run."""

    test: str
    gpu: int | None
    verdict: Verdict | None
    says: str = ""


@dataclass(frozen=True, slots=True)
class _Report:
    results: tuple[Result, ...]
    listed: frozenset[int] | None  # GPUs that the report says it looked at, None where it doesn't
    error: str = ""


def read_diag(output: str, *, exit_code: int | None, gpus: int, cut: bool = False) -> Reading:
    """What a run of `dcgmi diag -j` came to on a node of so many GPUs.

    Fail fails whatever else there is. A pass needs whole reports, an exit with 0, a test that ran, and every GPU in each test
    that ran on any.
    """
    found = list(_reports(output))
    reports = [report for report in found if report is not None]
    results = [result for report in reports for result in report.results]
    failed = [result for result in results if result.verdict is Verdict.FAIL]
    wants = f"every test to pass on {gpus} GPUs"
    if failed:
        clears = "what DCGM asks for (a reset, a repair), then a run that passes"
        return Reading(Verdict.FAIL, _named(failed, "Fail"), wants, clears)
    if not reports:
        return Reading(Verdict.UNKNOWN, _no_report(output, exit_code, cut=cut), wants, "a run that reports")
    if len(reports) < len(found):
        return Reading(Verdict.UNKNOWN, "one of its reports breaks off", wants, "a run that ends by itself")
    doubt = _doubt(reports, results, exit_code, gpus)
    if doubt is not None:
        return Reading(*doubt[:2], wants, doubt[2])
    warned = [result for result in results if result.verdict is Verdict.WARN]
    if warned:
        return Reading(Verdict.WARN, _named(warned, "Warn"), wants, "what DCGM warns of being mended")
    return Reading(Verdict.PASS, _summed(results), wants)


def _doubt(
    reports: list[_Report], results: list[Result], exit_code: int | None, gpus: int
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
    seen = {result.gpu for result in results if result.gpu is not None and result.verdict is not None}
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
        if result.gpu is not None and result.verdict is not None:
            covered.setdefault(result.test, set()).add(result.gpu)
    return next(
        (f"{test}: on {len(on)} of {gpus} GPUs" for test, on in covered.items() if len(on) < gpus), ""
    )


def _reports(output: str) -> Iterator[_Report | None]:
    """Every report in the text, whatever stands before, between or behind them; None for one that breaks off."""
    decoder, at = json.JSONDecoder(), 0
    while (start := _START.search(output, at)) is not None:
        try:
            value, at = decoder.raw_decode(output, start.start())
        except (ValueError, RecursionError):
            at = start.end()
            yield None
            continue
        for name, body in value.items():
            if name.startswith("DCGM") and isinstance(body, dict):
                yield _report(body)


def _report(body: dict[str, Any]) -> _Report:
    error = next((clean(str(body[key]), 200) for key in _RUNTIME if body.get(key)), "")
    results = tuple(
        result
        for category in _dicts(body.get("test_categories"))
        for test in _dicts(category.get("tests"))
        for result in _results(test)
    )
    return _Report(results, _listed(body), error)


def _results(test: dict[str, Any]) -> Iterator[Result]:
    name = clean(str(test.get("name") or "a test"), 60)
    for row in _dicts(test.get("results")):
        yield from _rows(name, row)
    summary = test.get("test_summary")
    if isinstance(summary, dict) and _verdict(summary.get("status")) is Verdict.FAIL:
        yield Result(name, None, Verdict.FAIL, _says(summary))


def _rows(name: str, row: dict[str, Any]) -> Iterator[Result]:
    verdict, says = _verdict(row.get("status", row.get("result"))), _says(row)
    gpus = _gpus(row)
    if not gpus:
        yield Result(name, None, verdict, says)
    for gpu in gpus:
        yield Result(name, gpu, verdict, says)


def _verdict(status: object) -> Verdict | None:
    """None where the test was not run. A word that nobody knows is UNKNOWN."""
    word = str(status if status is not None else "").strip().lower()
    return None if word in _NOT_RUN else _WORDS.get(word, Verdict.UNKNOWN)


def _gpus(row: dict[str, Any]) -> list[int]:
    """The GPUs of a result: `"gpu_ids": "0,1"`, `"gpu_id": "0"`, or an entity of the group GPU."""
    if "entity_id" in row:
        of_gpu = str(row.get("entity_group", "GPU")).upper() == "GPU"
        return _numbers(row["entity_id"]) if of_gpu else []
    for key in ("gpu_id", "gpu_ids"):
        if row.get(key) is not None:
            return _numbers(row[key])
    return []


def _numbers(value: object) -> list[int]:
    texts = value if isinstance(value, list) else [value]
    return [int(each) for text in texts for each in re.findall(r"\d{1,4}", str(text))]


def _listed(body: dict[str, Any]) -> frozenset[int] | None:
    """The GPUs that the report says are there: DCGM 4's entity groups, DCGM 3's device ids. None where it says nothing."""
    for group in _dicts(body.get("entity_groups")):
        if str(group.get("entity_group", "")).upper() == "GPU":
            entities = _dicts(group.get("entities"))
            return frozenset(number for each in entities for number in _numbers(each.get("entity_id")))
    serials = body.get("GPU Device Serials")
    if isinstance(serials, dict) and serials:
        return frozenset(number for key in serials for number in _numbers(key))
    ids = body.get("GPU Device IDs")
    return frozenset(range(len(ids))) if isinstance(ids, list) and ids else None


def _says(row: dict[str, Any]) -> str:
    """What a result says of itself: its warnings with their error's number, else its info."""
    for key in ("warnings", "errors", "info"):
        found = row.get(key)
        texts = found if isinstance(found, list) else [found] if found else []
        said = [text for each in texts if (text := _warning(each))]
        if said:
            return "; ".join(said[:2])
    return ""


def _warning(value: object) -> str:
    if not isinstance(value, dict):
        return clean(str(value or ""), 120)
    text = clean(str(value.get("warning") or value.get("error") or value.get("message") or ""), 120)
    number = value.get("error_id")
    return f"{text} (error {number})" if isinstance(number, int) and text else text or f"error {number}"


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
    return f"{len(ran)} tests passed" + (f", {len(skipped)} skipped" if skipped else "")


def _no_report(output: str, exit_code: int | None, *, cut: bool) -> str:
    """Why there is no report to read, as far as the text tells."""
    ended = "" if exit_code in (0, None) else f", exit {exit_code}"
    if _START.search(output):
        return f"its report breaks off{ended}"
    said = _NO_ENGINE.search(output)
    if said is not None:
        return clean(said[0].strip(), 200) + ended
    if cut:
        return "its output is longer than what is read"
    last = next((line for line in reversed(output[-2000:].splitlines()) if line.strip()), "")
    return (f"no report: {clean(last, 160)}" if last else "it printed nothing") + ended


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
