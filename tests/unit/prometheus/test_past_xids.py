"""Past XIDs from how the gauge went: a turn within a step, an unknown age where the first sample shows it already."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from backends.prometheus.answers import Series, read_matrix
from backends.prometheus.past_xids import PastXids, of_host, step_of, told_by
from backends.prometheus.queries import Shape
from fleet.errors import Garbled, Rejected
from fleet.joining import NodeNames
from tests.builders import node
from tests.unit.prometheus.test_client import NODES, asking, vector

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=1)
SHAPE = Shape(("Hostname",))


def series(*codes: object, gpu: str = "3", first: int = 0, host: str = "gpu-1", **labels: str) -> Series:
    """Samples a minute apart from the `first` minute on; None is no sample."""
    at = SINCE.timestamp()
    values = [(at + 60 * (first + n), str(code)) for n, code in enumerate(codes) if code is not None]
    return Series({"Hostname": host, "gpu": gpu, **labels}, values)


def told(*found: Series) -> list[tuple[float | None, str]]:
    """Minutes since the beginning, and what is said."""
    entries = told_by(found, SHAPE, NodeNames(NODES), "gpu-1", SINCE, STEP)
    return [
        (None if entry.at is None else (entry.at - SINCE).total_seconds() / 60, entry.says)
        for entry in entries
    ]


def test_an_xid_is_told_where_the_gauge_turns() -> None:
    (turn,) = told_by([series(0, 0, 79, 79)], SHAPE, NodeNames(NODES), "gpu-1", SINCE, STEP)
    assert turn.at == SINCE + 2 * STEP
    assert turn.within == STEP
    assert turn.says == "XID 79 (RC_GPU_HAS_FALLEN_OFF_THE_BUS) on GPU 3"


def test_one_that_the_first_sample_shows_is_of_unknown_age() -> None:
    assert told(series(79, 79)) == [
        (
            None,
            "XID 79 (RC_GPU_HAS_FALLEN_OFF_THE_BUS) on GPU 3, shown already at 03-01 00:00 UTC, age unknown",
        )
    ]
    ((at, says),) = told(series(79, first=30))
    assert at is None
    assert "by its first sample, age unknown" in says


def test_a_code_that_is_a_label_is_read_with_the_one_before_it() -> None:
    assert [at for at, _ in told(series(0, 0, None), series(None, None, 48, err_code="48"))] == [2]


def test_a_gpu_that_a_reboot_gives_another_number_turns_nowhere() -> None:
    """UUID a goes from number 0 to 1 with its code, b from 1 to 0 without one."""
    first = [series(79, 79, gpu="0", UUID="a"), series(0, 0, gpu="1", UUID="b")]
    after = [series(79, 79, gpu="1", UUID="a", first=5), series(0, 0, gpu="0", UUID="b", first=5)]
    ((at, says),) = told(*first, *after)
    assert at is None
    assert "on GPU 1, shown already" in says


def test_a_gap_is_said_as_how_long_before_it_may_have_been() -> None:
    (turn,) = told_by([series(0, None, None, 79)], SHAPE, NodeNames(NODES), "gpu-1", SINCE, STEP)
    assert turn.within == 3 * STEP


def test_a_gauge_that_went_back_and_turned_again_tells_both() -> None:
    assert [at for at, _ in told(series(0, 79, 0, 79))] == [1, 3]
    assert told(series(0, 0, 0)) == []


def test_other_nodes_and_samples_that_are_no_numbers_are_left_out() -> None:
    assert told(series(0, 79, host="gpu-2"), series("NaN", "x", "+Inf")) == []


@pytest.mark.parametrize(
    ("span", "step"),
    [(timedelta(minutes=5), 15), (timedelta(days=1), 58), (timedelta(days=30), 1728)],
)
def test_a_longer_span_has_a_longer_step(span: timedelta, step: int) -> None:
    assert step_of(span) == timedelta(seconds=step)


def test_a_host_is_asked_for_by_every_label_that_may_name_it_blanks_left_out() -> None:
    (first, second) = of_host(Shape(("Hostname", "node")), "gpu-1", {"cluster": 'a"b'})
    assert first.startswith('DCGM_FI_DEV_XID_ERRORS{Hostname=~"(?i)')
    assert 'node=~"' in second
    assert r'cluster="a\"b"' in first
    assert ">= 0" in first


async def test_a_nodes_past_is_asked_for_under_the_name_of_its_series() -> None:
    asked: list[Any] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if "query_range" not in request.path:
            return vector(
                {"metric": {"__name__": "DCGM_FI_DEV_FB_USED", "Hostname": "gpu-1"}, "value": [1, "8"]}
            )
        asked.append(dict(request.query))
        rows = [
            {
                "metric": {"Hostname": "gpu-1", "gpu": "0"},
                "values": [[SINCE.timestamp(), "0"], [SINCE.timestamp() + 60, "79"]],
            }
        ]
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": rows}})

    async with asking(answer) as source:
        past = PastXids(source, lambda key: key.name.partition(".")[0])
        found = await past.past(node("gpu-1.example"), SINCE, SINCE + timedelta(hours=1))
    assert [(entry.at, entry.says[:6]) for entry in found] == [(SINCE + STEP, "XID 79")]
    assert (asked[0]["start"], asked[0]["step"]) == (f"{SINCE.timestamp():.0f}", "15")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html>", Garbled),
        (b'{"status":"success"}', Garbled),
        (b'{"status":"success","data":{"result":[{"metric":{},"value":[1,"2"]}]}}', Garbled),
        (b'{"status":"error","error":"too many points"}', Rejected),
    ],
)
def test_a_range_that_can_not_be_read_is_refused(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_matrix(body, "prometheus")
