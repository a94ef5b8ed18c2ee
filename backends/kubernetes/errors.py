"""Translates what an API server, or the way to it, answers into the fleet's errors.

    Unreachable    refused, no such host, TLS, 502 to 504, cut off before anything was sent
    Denied         403; NotKnown is 401
    Missing 404    Conflict 409, AlreadyThere for AlreadyExists    Rejected 400, 405, 422 and the like
    Throttled      429 by priority and fairness (plain text) or by the server
    BudgetHolds    429 of an eviction that a PodDisruptionBudget holds back
    Expired 410    the version or the continue token is too old: list again
    OutcomeUnknown a write that was sent, and whose answer is lost or says nothing of what was done

Status bodies are those of Kubernetes 1.36, measured. No message ever holds a token or a header.
"""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

from fleet.errors import (
    Blocked,
    Conflict,
    Denied,
    FleetError,
    Garbled,
    Missing,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unreachable,
)
from fleet.text import clean


class Expired(FleetError):
    """The version, or the continue token, is older than what the server remembers."""


class Silent(FleetError):
    """An open watch has said nothing for longer than it promises, bookmarks included."""


class NotKnown(Denied):
    """The server does not accept who we say we are (401)."""


class AlreadyThere(Conflict):
    """An object of that name exists."""


class BudgetHolds(Blocked):
    """A disruption budget holds a pod. `causes` are the server's words for each budget; `retry_after` where it said."""

    def __init__(
        self, message: str, *, about: str, causes: tuple[str, ...], retry_after: timedelta | None
    ) -> None:
        super().__init__(message, about=about)
        self.causes = causes
        self.retry_after = retry_after


class Cause(msgspec.Struct, gc=False):
    """One cause in a Status."""

    reason: str | None = None
    message: str | None = None
    field: str | None = None


class Details(msgspec.Struct, gc=False):
    """What a Status is about."""

    name: str | None = None
    kind: str | None = None
    causes: list[Cause] | None = None
    retryAfterSeconds: float | None = None  # noqa: N815


class Status(msgspec.Struct, gc=False):
    """The body of an error, and of some answers."""

    kind: str | None = None
    status: str | None = None
    message: str | None = None
    reason: str | None = None
    details: Details | None = None
    code: int | None = None


_decode = msgspec.json.Decoder(Status).decode
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")


def status_of(body: bytes) -> Status | None:
    """The Status in a body, or None where there is none to read."""
    try:
        status = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return status if status.kind in ("Status", None) and (status.message or status.reason) else None


def translate(
    code: int, body: bytes, *, about: str, write: bool = False, retry_after: str | None = None
) -> FleetError:
    """The error that an answer of `code` means. `retry_after` is the header of that name."""
    status = status_of(body)
    says = _message(code, status, body)
    wait = _wait(retry_after, status)
    if code == 429:
        return _throttled(status, says, about, wait)
    if code == 401:
        return NotKnown(f"the server does not accept our credentials: {says}", about=about)
    if code == 404:
        return Missing(says, about=about)
    if code == 403:
        return Denied(says, about=about)
    if code == 409:
        exists = status is not None and status.reason == "AlreadyExists"
        return (AlreadyThere if exists else Conflict)(says, about=about)
    if code == 410:
        return Expired(says, about=about)
    if code >= 500:
        return _failed(code, says, about, write)
    if code >= 400:
        return Rejected(says, about=about)
    return Garbled(f"answered {code}: {says}", about=about)


def of_event(status: Status, *, about: str) -> FleetError:
    """The error in an ERROR event of a watch, which arrives under HTTP 200."""
    body = msgspec.json.encode(status)
    return translate(status.code or 500, body, about=about)


def _throttled(status: Status | None, says: str, about: str, wait: timedelta | None) -> FleetError:
    causes = (status and status.details and status.details.causes) or []
    budgets = tuple(clean(cause.message or "") for cause in causes if cause.reason == "DisruptionBudget")
    if budgets:
        return BudgetHolds(says, about=about, causes=budgets, retry_after=wait)
    return Throttled(says, about=about, retry_after=wait)


def _failed(code: int, says: str, about: str, write: bool) -> FleetError:
    if "more than one PodDisruptionBudget" in says:
        return BudgetHolds(says, about=about, causes=(says,), retry_after=None)
    if write and code != 503:
        return OutcomeUnknown(f"answered {code} to a change: {says}", about=about)
    return Unreachable(f"answered {code}: {says}", about=about)


def _message(code: int, status: Status | None, body: bytes) -> str:
    if status is not None:
        return redacted(status.message or status.reason or f"HTTP {code}")
    text = body[:2048].decode(errors="replace")
    if "<html" in text.lower() or "<!doctype" in text.lower():
        return f"HTTP {code} with a web page, not from a Kubernetes API"
    return redacted(text) or f"HTTP {code} without a word"


def redacted(text: str) -> str:
    """`text` cleaned, at most 300 characters, and without anything that looks like a credential."""
    return _BEARER.sub(r"\1 …", clean(text, 300))


def _wait(header: str | None, status: Status | None) -> timedelta | None:
    seconds: float | None = None
    if header is not None and header.strip().isascii() and header.strip().isdigit():
        seconds = float(header.strip()[:9])
    elif status is not None and status.details is not None:
        seconds = status.details.retryAfterSeconds
    if seconds is None or not seconds >= 0:
        return None
    return timedelta(seconds=min(seconds, 3600.0))
