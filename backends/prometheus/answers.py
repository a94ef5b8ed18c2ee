"""Decodes Prometheus' answers from their bytes, in slices: a decoder holds the interpreter while it runs.

The shape is that of the HTTP API v1 (prometheus.io/docs/prometheus/latest/querying/api), with the additions of Thanos,
Mimir and VictoriaMetrics ignored.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from fleet.errors import Denied, FleetError, Garbled, Missing, Rejected, Throttled, TimedOut, Unreachable
from fleet.text import clean

_START = b'"result":['
_NEXT = b',{"metric":'
_SLICE = 200_000
_SAID = 300
_LAST = 4e9
"""Seconds beyond which a time is none: the year 2096. Ages that are reckoned from one stay within what `datetime` counts."""

_one_at_a_time = threading.Lock()


class Row(msgspec.Struct, gc=False):
    """One series of an instant vector: its labels, and (when it was evaluated, the value as text)."""

    metric: dict[str, str]
    value: tuple[float, str]

    @property
    def number(self) -> float:
        """The value, NaN and infinities included. Raises ValueError where it is none."""
        return float(self.value[1])


class Series(msgspec.Struct, gc=False):
    """One series of a range: its labels, and its samples in order of time, each (when it was evaluated, the value as text)."""

    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Matrix(msgspec.Struct):
    result: list[Series] | None = None


class _MatrixEnvelope(msgspec.Struct):
    status: str = ""
    data: _Matrix | None = None
    error: str = ""


class _Vector(msgspec.Struct):
    result: list[Row] | None = None


class _Envelope(msgspec.Struct):
    status: str = ""
    data: _Vector | None = None
    errorType: str = ""  # noqa: N815 - Prometheus' own name
    error: str = ""
    warnings: list[str] | None = None


class _Failure(msgspec.Struct):
    errorType: str = ""  # noqa: N815 - Prometheus' own name
    error: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of one query, and what Prometheus warned of: a half-dead Prometheus answers 200, empty, with a warning."""

    rows: Sequence[Row]
    warnings: tuple[str, ...] = ()


_rows = msgspec.json.Decoder(list[Row])
_matrix = msgspec.json.Decoder(_MatrixEnvelope)
_envelope = msgspec.json.Decoder(_Envelope)
_failure = msgspec.json.Decoder(_Failure)


def read_answer(body: bytes, about: str) -> Answer:
    """The answer in `body`, blocking the interpreter only for a slice at a time. Raises Garbled or Rejected."""
    rows: list[Row] = []
    try:
        with _one_at_a_time:
            start = body.find(_START) + len(_START)
            at = start
            while start >= len(_START) and len(body) - at > 2 * _SLICE:
                cut = body.find(_NEXT, at + _SLICE)
                if cut < 0:
                    break
                rows += _rows.decode(b"[" + body[at:cut] + b"]")
                at = cut + 1
            last = _envelope.decode(body[:start] + body[at:] if rows else body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Garbled(f"its answer is not Prometheus' ({clean(str(error), _SAID)})", about=about) from error
    if last.status != "success":
        raise Rejected(clean(last.error or "it answers without success", _SAID), about=about)
    if last.data is None or last.data.result is None:
        raise Garbled("its answer has no result", about=about)
    rows += last.data.result
    if not all(0 <= row.value[0] < _LAST for row in rows):
        raise Garbled("its answer is of no time", about=about)
    return Answer(rows, tuple(clean(warning, _SAID) for warning in last.warnings or ()))


def read_matrix(body: bytes, about: str) -> Sequence[Series]:
    """The series in the answer to a range query. Raises Garbled or Rejected."""
    try:
        with _one_at_a_time:
            read = _matrix.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Garbled(f"its answer is not Prometheus' ({clean(str(error), _SAID)})", about=about) from error
    if read.status != "success":
        raise Rejected(clean(read.error or "it answers without success", _SAID), about=about)
    if read.data is None or read.data.result is None:
        raise Garbled("its answer has no result", about=about)
    for series in read.data.result:
        if not all(0 <= at < _LAST for at, _ in (*series.values[:1], *series.values[-1:])):
            raise Garbled("its samples are of no time", about=about)
    return read.data.result


def failure_of(status: int, body: bytes, about: str, location: str = "") -> FleetError:
    """The error that an answer other than 200 stands for: bad_data is 400, execution 422, timeout 503, no API is a plain 404."""
    try:
        said = _failure.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = _Failure(error=body.decode("utf-8", "replace").strip().partition("\n")[0])
    why = f"it answers {status}" + (f": {clean(said.error, _SAID)}" if said.error else "")
    if 300 <= status < 400:
        return Rejected(f"it redirects to {clean(location, _SAID)}; give that address", about=about)
    if status in (401, 403):
        return Denied(why, about=about)
    if status == 404:
        return Missing(f"{why} (no Prometheus API at this address)", about=about)
    if status == 429:
        return Throttled(why, about=about)
    if said.errorType in ("timeout", "canceled") or status == 504:
        return TimedOut(why, about=about)
    return (Unreachable if status >= 500 else Rejected)(why, about=about)
