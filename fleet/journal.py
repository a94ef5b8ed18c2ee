"""What is written down before and after everything done: intent, outcome, and who did it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from fleet.plan import Plan


class Kind(Enum):
    """What a record says happened."""

    STARTED = "started"  # an operation was confirmed; carries the plan
    INTENT = "intent"
    OUTCOME = "outcome"
    ENDED = "ended"
    REFUSED = "refused"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the journal. `state` is a StepState or OperationState value; `plan` only with STARTED."""

    at: datetime
    kind: Kind
    operation: str
    by: str
    verb: str = ""
    source: str = ""
    identity: str = ""
    node: str = ""
    step_id: str = ""
    state: str = ""
    says: str = ""
    evidence: str = ""
    plan: Plan | None = None
