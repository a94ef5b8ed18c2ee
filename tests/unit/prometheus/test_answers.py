"""Answers are decoded typed and in slices, and what is no answer becomes the right error."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.prometheus.answers import failure_of, read_answer, read_matrix
from fleet.errors import Denied, FleetError, Garbled, Missing, Rejected, Throttled, TimedOut, Unreachable

ABOUT = "http://prometheus:9090"


def vector(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": rows}, **more}


def row(number: int) -> dict[str, Any]:
    return {
        "metric": {"Hostname": f"gpu-{number}", "tricky": ',{"metric":'},
        "value": [1772334000.5, str(number)],
    }


def test_rows_are_labels_with_a_time_and_a_number() -> None:
    answer = read_answer(json.dumps(vector([row(7)])).encode(), ABOUT)
    (read,) = answer.rows
    assert read.metric["Hostname"] == "gpu-7"
    assert (read.value[0], read.number) == (1772334000.5, 7)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_large_answer_is_the_same_in_slices(separators: tuple[str, str]) -> None:
    body = json.dumps(
        vector([row(number) for number in range(8000)], warnings=["late"]), separators=separators
    )
    answer = read_answer(body.encode(), ABOUT)
    assert len(body) > 500_000
    assert [read.number for read in answer.rows] == list(range(8000))
    assert answer.warnings == ("late",)


def test_numbers_that_are_none_are_read_as_they_are() -> None:
    rows = [{"metric": {}, "value": [0, text]} for text in ("NaN", "+Inf", "-Inf")]
    numbers = [read.number for read in read_answer(json.dumps(vector(rows)).encode(), ABOUT).rows]
    assert math.isnan(numbers[0])
    assert numbers[1:] == [math.inf, -math.inf]


@pytest.mark.parametrize("at", [-1, 4e9, 1e18, 1e300])
def test_times_that_are_none_are_garbled(at: float) -> None:
    with pytest.raises(Garbled, match="of no time"):
        read_answer(json.dumps(vector([row(7), {"metric": {}, "value": [at, "1"]}])).encode(), ABOUT)
    series = {"metric": {}, "values": [[1772334000.5, "1"], [at, "1"]]}
    with pytest.raises(Garbled, match="of no time"):
        read_matrix(json.dumps(vector([series])).encode(), ABOUT)


def test_what_other_servers_add_is_passed_over() -> None:
    body = json.dumps(
        {"status": "success", "isPartial": False, **vector([row(1)], stats={"seriesFetched": "1"})}
    )
    assert len(read_answer(body.encode(), ABOUT).rows) == 1


def test_warnings_are_clean() -> None:
    answer = read_answer(json.dumps(vector([], warnings=["\x1b[31mred", "x" * 40_000])).encode(), ABOUT)
    assert answer.warnings[0] == "red"
    assert len(answer.warnings[1]) == 300


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Sign in</html>",
        b"[]",
        b'{"status":"success"}',
        b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}',
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":1},"value":[1,"2"]}]}}',
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"}}]}}',
        b'{"status":"success","data":{"result":[{"metric":{"a":"\xff\xfe"},"value":[1,"2"]}]}}',
        json.dumps(vector([row(number) for number in range(8000)])).encode()[:-2000],
    ],
)
def test_what_is_no_answer_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled, match="prometheus:9090"):
        read_answer(body, ABOUT)


def test_an_answer_without_success_is_rejected() -> None:
    with pytest.raises(Rejected, match="no"):
        read_answer(b'{"status":"error","errorType":"bad_data","error":"no"}', ABOUT)


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (400, b'{"status":"error","errorType":"bad_data","error":"parse error"}', Rejected, "parse error"),
        (422, b'{"status":"error","errorType":"execution","error":"many-to-many"}', Rejected, "many-to-many"),
        (503, b'{"status":"error","errorType":"timeout","error":"query timed out"}', TimedOut, "timed out"),
        (503, b"no healthy upstream", Unreachable, "no healthy upstream"),
        (504, b"", TimedOut, "504"),
        (500, b"\xff\xfe", Unreachable, "500"),
        (404, b"404 page not found\nmore", Missing, "page not found"),
        (401, b"", Denied, "401"),
        (403, b"<html>", Denied, "403"),
        (429, b"[]", Throttled, "429"),
        (418, b"", Rejected, "418"),
    ],
)
def test_a_failure_is_said_in_the_fleets_words(
    status: int, body: bytes, error: type[FleetError], said: str
) -> None:
    failure = failure_of(status, body, ABOUT)
    assert type(failure) is error
    assert said in failure.message
    assert failure.about == ABOUT


def test_a_redirect_names_where_to_go_instead() -> None:
    assert "https://elsewhere/login" in failure_of(302, b"", ABOUT, "https://elsewhere/login").message


@given(st.binary())
def test_any_bytes_are_rows_or_an_error_of_the_fleet(body: bytes) -> None:
    with pytest.raises(FleetError):
        read_answer(body, ABOUT)


@given(st.integers(100, 599), st.binary())
def test_any_failure_has_words(status: int, body: bytes) -> None:
    assert failure_of(status, body, ABOUT).message
