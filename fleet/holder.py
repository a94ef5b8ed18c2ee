"""Who keeps a node closed, why, and since when. Holds are a list: nobody's is overwritten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from fleet.verb import Verb


class HolderKind(Enum):
    """Whose hold it is, as far as the orchestrator's own keys tell."""

    OURS = "ours"  # written by Quarterdeck, whoever pressed the key
    CONTROLLER = "controller"  # another program left its keys
    UNNAMED = "unnamed"  # closed, and nobody said who


@dataclass(frozen=True, slots=True)
class Hold:
    """One reason a node is closed.

    `by` is a person (`user@host`) or a controller's name; `operation` is our operation's id, empty for
    others'; `found` is the admission the node had before this hold, by `Admission.value`.
    """

    by: str
    reason: str = ""
    kind: HolderKind = HolderKind.OURS
    verb: str = ""
    operation: str = ""
    since: datetime | None = None
    found: str = ""
    step: str = ""
    plan_hash: str = ""

    @property
    def at_work(self) -> bool:
        """Whether an operation of ours that takes the node away, or makes it, may still be under way; a failure names its step."""
        return self.kind is HolderKind.OURS and self.verb in _TAKES_AWAY and not self.step


_TAKES_AWAY = (Verb.REIMAGE.value, Verb.RETIRE.value, Verb.PROVISION.value)


def begun_since(holds: Iterable[Hold], shown: Iterable[Hold], operation: str) -> Hold | None:
    """The hold of another operation at work on a node that was not there when the holds were `shown` to the operator."""
    known = {hold.operation for hold in shown} | {operation}
    return next((hold for hold in holds if hold.at_work and hold.operation not in known), None)
