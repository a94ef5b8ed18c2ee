"""Who keeps a node closed, why, and since when. Holds are a list: nobody's is overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


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
