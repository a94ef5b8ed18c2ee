"""Finds what `dcgmi diag -j` printed in a text, and its results: the shapes of DCGM 2, 3 and 4.

Its `-j` has no published schema ("Diagnostic Errors" in DCGM's documentation), so the shapes are read off NVIDIA/DCGM on GitHub:
`dcgmi/Diag.cpp` of 3.3 and 4.x, `nvvs/include/NvvsCommon.h`, `testing/python3/dcgm_diag_schema.json` of 4.x. A GPU is `gpu_id`
as a text, `gpu_ids` with several of them, or an entity of a group; which there are stands beside the report, in DCGM 2 within it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fleet.health import Verdict
from fleet.text import clean

_KEY = re.compile(r'"DCGM[^"\n]{0,40}"\s*:')
_START = re.compile(r'\{\s*"DCGM[^"\n]{0,40}"\s*:')
_LINE_START = re.compile(r"^[ \t]{0,200}\{", re.MULTILINE)
_TRIES = 64
"""How many places where a report may begin are tried in vain, or lines with a brace where its key is not the first."""

_WORDS = {
    "pass": Verdict.PASS,
    "passed": Verdict.PASS,
    "warn": Verdict.WARN,
    "warning": Verdict.WARN,
    "fail": Verdict.FAIL,
    "failed": Verdict.FAIL,
}
_NOT_RUN = ("skip", "skipped", "not run", "not_run", "notrun", "")
_RUNTIME = ("runtime_error", "error", "errors")


@dataclass(frozen=True, slots=True)
class Result:
    """One test's result: of one GPU, or of the whole node where `gpu` is None. `verdict` None is a test that was not run.

    `severities` are those of its errors, as DCGM numbers them (`dcgmErrorSeverity_enum`, dcgm_errors.h). `of_node` is a test of the
    node that only names a GPU for its error, as those of DCGM 3's deployment do.
    """

    test: str
    gpu: int | None
    verdict: Verdict | None
    says: str = ""
    severities: frozenset[int] = frozenset()
    of_node: bool = False

    @property
    def covers(self) -> bool:
        """Whether it shows that its test ran on its GPU."""
        return self.gpu is not None and self.verdict is not None and not self.of_node


@dataclass(frozen=True, slots=True)
class Report:
    """One report: its results, the GPUs that it says are there (None where it doesn't), and what kept it from running."""

    results: tuple[Result, ...]
    listed: frozenset[int] | None
    error: str = ""


def begins(output: str) -> bool:
    """Whether a report begins in the text, though it may break off."""
    return _KEY.search(output) is not None


def reports(output: str) -> Iterator[Report | None]:
    """Every report in the text, whatever stands before, between or behind them; None for one that breaks off."""
    decoder, at = json.JSONDecoder(), 0
    if _START.search(output) is None and begins(output):
        yield from _of_other_order(output)
        return
    broken = 0
    while broken < _TRIES and (start := _START.search(output, at)) is not None:
        try:
            value, at = decoder.raw_decode(output, start.start())
        except (ValueError, RecursionError):
            at, broken = start.end(), broken + 1
            yield None
            continue
        yield from _in_document(value)


def _of_other_order(output: str) -> Iterator[Report | None]:
    """Reports of objects that begin with another key: something printed them anew, as `jq` and a log shipper do."""
    decoder, at, found = json.JSONDecoder(), 0, 0
    for _ in range(_TRIES):
        start = _LINE_START.search(output, at)
        if start is None:
            break
        try:
            value, at = decoder.raw_decode(output, start.end() - 1)
        except (ValueError, RecursionError):
            at = start.end()
            continue
        for report in _in_document(value):
            found += 1
            yield report
    if found < len(_KEY.findall(output)):
        yield None


def _in_document(value: object) -> Iterator[Report]:
    """The reports of an object that was read whole."""
    document: dict[str, Any] = value if isinstance(value, dict) else {}
    for name, body in document.items():
        if name.startswith("DCGM") and isinstance(body, dict):
            yield _report(document, body)


def _report(document: dict[str, Any], body: dict[str, Any]) -> Report:
    told = (where[key] for where in (body, document) for key in _RUNTIME if where.get(key))
    error = next((clean(str(each), 200) for each in told), "")
    results = tuple(_in_categories(body.get("test_categories")))
    listed = _listed(body)
    return Report(results, _listed(document) if listed is None else listed, error)


def _in_categories(categories: object) -> Iterator[Result]:
    """Every result, with one that is UNKNOWN for each place that has another shape: a failure may stand there."""
    if categories is not None and _is_odd(categories):
        yield Result("test_categories", None, Verdict.UNKNOWN)
    for category in _dicts(categories):
        name, tests = str(category.get("category") or "a category"), category.get("tests")
        if _is_odd(tests):
            yield Result(clean(name, 60), None, Verdict.UNKNOWN)
        for test in _dicts(tests):
            yield from _results(test, deployment=name.lower() == "deployment")


def _results(test: dict[str, Any], *, deployment: bool) -> Iterator[Result]:
    name = clean(str(test.get("name") or "a test"), 60)
    rows, summary = test.get("results"), test.get("test_summary")
    for row in _dicts(rows):
        yield from _rows(name, row, of_node=deployment and "gpu_id" in row)
    if isinstance(summary, dict) and _verdict_of(summary) not in (Verdict.PASS, None):
        yield Result(name, None, _verdict_of(summary), _says(summary), _severities(summary))
    if _is_odd(rows) or not (_dicts(rows) or isinstance(summary, dict)):
        yield Result(name, None, Verdict.UNKNOWN)


def _rows(name: str, row: dict[str, Any], *, of_node: bool) -> Iterator[Result]:
    verdict, says, severities = _verdict_of(row), _says(row), _severities(row)
    for gpu in _gpus(row) or (None,):
        yield Result(name, gpu, verdict, says, severities, of_node)


def _verdict_of(row: dict[str, Any]) -> Verdict | None:
    """None where the test was not run. A pass that reports an error warns: DCGM 4.5 does that (NVIDIA/DCGM issue 284)."""
    verdict = _verdict(row.get("status", row.get("result")))
    return Verdict.WARN if verdict is Verdict.PASS and _told(row, "warnings", "errors") else verdict


def _verdict(status: object) -> Verdict | None:
    """None for a word that says so of a test that was not run. A word that nobody knows is UNKNOWN, and so is none at all."""
    word = str(status).strip().lower().removesuffix(" - all")
    return None if word in _NOT_RUN else _WORDS.get(word, Verdict.UNKNOWN)


def _gpus(row: dict[str, Any]) -> list[int]:
    """The GPUs of a result; none for one of the node, which an error without a GPU tells by the number -1."""
    if "entity_id" in row:
        of_gpu = str(row.get("entity_group", "GPU")).upper() == "GPU"
        return _numbers(row["entity_id"]) if of_gpu else []
    for key in ("gpu_id", "gpu_ids"):
        if row.get(key) is not None:
            return _numbers(row[key])
    return []


def _numbers(value: object) -> list[int]:
    texts = value if isinstance(value, list) else [value]
    return [int(each) for text in texts for each in re.findall(r"(?<![-\d])\d{1,4}(?!\d)", str(text))]


def _listed(where: dict[str, Any]) -> frozenset[int] | None:
    """The GPUs that are said to be there: DCGM 4's entity groups, DCGM 3's serials and device ids. None where nothing says.

    A GPU without a serial is not among the serials, so that the longer of the two counts.
    """
    for group in _dicts(where.get("entity_groups")):
        if str(group.get("entity_group", "")).upper() == "GPU":
            if _is_odd(group.get("entities")):
                return None
            entities = _dicts(group.get("entities"))
            return frozenset(number for each in entities for number in _numbers(each.get("entity_id")))
    serials, ids = where.get("GPU Device Serials"), where.get("GPU Device IDs")
    numbered = (
        frozenset(number for key in serials for number in _numbers(key))
        if isinstance(serials, dict)
        else None
    )
    counted = frozenset(range(len(ids))) if isinstance(ids, list) else None
    return max((each for each in (numbered, counted) if each), key=len, default=None)


def _says(row: dict[str, Any]) -> str:
    """What a result says of itself: its warnings with their error's number, else its info."""
    said = _told(row, "warnings", "errors") or _told(row, "info")
    return "; ".join(said[:2])


def _told(row: dict[str, Any], *keys: str) -> list[str]:
    """The texts under the first of the keys that has any: a text, a list of them, or a list of errors."""
    for key in keys:
        if said := [text for each in _listed_under(row, key) if (text := _warning(each))]:
            return said
    return []


def _listed_under(row: dict[str, Any], key: str) -> list[Any]:
    found = row.get(key)
    return found if isinstance(found, list) else [found] if found else []


def _warning(value: object) -> str:
    """One error in words; DCGM 3 spells the key `warnings` for what is of no GPU, NVVS's plugins `test_details`."""
    if not isinstance(value, dict):
        return clean(str(value or ""), 120)
    keys = ("warning", "warnings", "error", "message", "test_details")
    text = next((clean(str(value[key]), 120) for key in keys if value.get(key)), "")
    number = value.get("error_id")
    return f"{text} (error {number})" if isinstance(number, int) and text else text or f"error {number}"


def _severities(row: dict[str, Any]) -> frozenset[int]:
    found = (_dicts(row.get(key)) for key in ("warnings", "errors"))
    told = (each.get("error_severity", each.get("severity")) for errors in found for each in errors)
    return frozenset(number for number in told if isinstance(number, int))


def _is_odd(value: object) -> bool:
    """Whether it is no list of objects, of which DCGM 3 leaves some null."""
    return not isinstance(value, list) or any(not isinstance(item, dict | None) for item in value)


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
