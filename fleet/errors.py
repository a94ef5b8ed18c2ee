"""What can go wrong outside, in the words of the fleet.

    FleetError
    ├── Unreachable      nobody answered, or the answer broke off before anything was sent
    ├── Denied           they know us and say no, or do not know us
    ├── Missing          the thing named is not there
    ├── Conflict         it changed since we read it
    ├── Rejected         the request was understood and refused as wrong
    ├── Throttled        too many requests; `retry_after` says how long to wait, where they said
    ├── Garbled          the answer can't be read
    ├── Blocked          a rule of the fleet forbids it
    ├── TimedOut         nothing was changed before the deadline passed
    ├── OutcomeUnknown   a write was sent and its answer lost: read back before anything else
    └── JournalFailed    the journal could not be made durable, so nothing may be done

Adapters translate their client's exceptions into these with the cause chained; nobody else catches a client's exception.
"""

from __future__ import annotations

from datetime import timedelta


class FleetError(Exception):
    """Something outside failed. `about` names the node, file or address it was about."""

    def __init__(self, message: str, *, about: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.about = about

    def __str__(self) -> str:
        return f"{self.about}: {self.message}" if self.about else self.message


class Unreachable(FleetError):
    """Nobody answered."""


class Denied(FleetError):
    """We are not known there, or may not do this."""


class Missing(FleetError):
    """The thing named is not there."""


class Conflict(FleetError):
    """It changed since we read it."""


class Rejected(FleetError):
    """The request was understood and refused as wrong."""


class Throttled(FleetError):
    """Too many requests. `retry_after` is how long they ask us to wait, None where they did not say."""

    def __init__(self, message: str, *, about: str = "", retry_after: timedelta | None = None) -> None:
        super().__init__(message, about=about)
        self.retry_after = retry_after


class Garbled(FleetError):
    """The answer can't be read."""


class Blocked(FleetError):
    """A rule of the fleet forbids it."""


class TimedOut(FleetError):
    """The deadline passed; nothing of this request was sent."""


class OutcomeUnknown(FleetError):
    """A write was sent and its answer lost."""


class JournalFailed(FleetError):
    """The journal could not be written, so nothing may be done."""
